/* Text from outside, shown in one line of a terminal: what could end the line, or steer the terminal, is escaped. */
#ifndef CONTROL_PLAIN_TEXT_H
#define CONTROL_PLAIN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The character of UTF-8 that begins there, in its shortest form. Returns its bytes; 0: none does. */
size_t plain_text_rune(const char *text, size_t text_bytes, uint32_t *rune);

/* Is it no letter or sign, but something done to the text: a line break of any kind, an escape, a mark of byte order? */
bool plain_text_is_control(uint32_t rune);

/* All of it is UTF-8 without such characters. */
bool plain_text_is_clean(const char *text, size_t text_bytes);

/* Escapes what is not clean: \n, or \x1b. What does not fit ends with "...". */
void plain_text_show(const char *text, size_t text_bytes, char *out, size_t out_bytes);

#endif
