/* What administrators and clients ask of the control thread. */
#ifndef NODE_CONTROL_COMMANDS_H
#define NODE_CONTROL_COMMANDS_H

#include "control/admin.h"

struct admin_reply;
void admin_command(void *context, void **connection, bool administrator, const void *request,
                   struct admin_reply *reply);
void admin_closed(void *context, void *connection);

#endif
