/* The stories that people learn CAP with. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/demo/story.h"

#define N1 0
#define N2 1
#define N3 2

/* --- a bank: a wrong balance is worse than none --- */

/* Shows the balance at a branch, where it can be told for sure. */
static bool
balance(struct story *story, uint8_t node, uint32_t log, long *out)
{
    struct cairn_view *view;
    char text[64];

    if (story_view(story, node, log, CAIRN_RESOLVE_COUNTER, CAIRN_READ_LINEARIZABLE, &view) != CAIRN_OK)
        return false;
    story_value(view, "ann", text, sizeof(text));
    cairn_view_free(view);
    *out = strtol(text, NULL, 10);
    return true;
}

static void
look_at_balance(struct story *story, uint8_t node, uint32_t log, long should)
{
    long is = 0;

    if (balance(story, node, log, &is)) {
        story_does(story, node, "ann asks: %ld", is);
        story_must(story, is == should, "every balance that is shown is right");
    } else {
        story_does(story, node, "ann asks: cannot say for sure");
    }
}

/* A withdrawal: the branch looks, then writes. Whether it was paid out. */
static bool
withdraw(struct story *story, uint8_t node, uint32_t log, long amount)
{
    char payload[32];
    long is = 0;
    enum cairn_error error;

    if (!balance(story, node, log, &is)) {
        story_does(story, node, "ann wants %ld: no, balance unknown", amount);
        return false;
    }
    if (is < amount) {
        story_does(story, node, "ann wants %ld: no, there are %ld", amount, is);
        return false;
    }
    snprintf(payload, sizeof(payload), "-%ld", amount);
    error = story_append(story, node, log, "ann", payload, NULL);
    story_does(story, node, "ann wants %ld: %s", amount, error == CAIRN_OK ? "paid" : cairn_error_name(error));
    return error == CAIRN_OK;
}

void
story_bank(struct story *story)
{
    uint32_t log;

    story_says(story, "The bank keeps ann's money on a log with policy ca: a write counts when all three hold it");
    log = story_log(story, "bank", CAIRN_POLICY_CA);
    story_must(story, story_append(story, N1, log, "ann", "+100", NULL) == CAIRN_OK, "all three in reach: accepted");
    story_does(story, N1, "ann pays in 100: held by all");
    for (uint8_t node = 0; node < STORY_NODES; node++)
        look_at_balance(story, node, log, 100);

    story_cut(story, N3);
    for (uint8_t node = 0; node < STORY_NODES; node++)
        story_wait_mode(story, node, log, CAIRN_MODE_DENIED);
    story_says(story, "ca: with one of three away every branch refuses; nobody can be paid twice");
    for (uint8_t node = 0; node < STORY_NODES; node++)
        story_must(story, !withdraw(story, node, log, 80), "ca refuses every write while one is cut off");

    story_says(story, "The owner decides for cp: a majority is enough, the side without one refuses");
    story_set_policy(story, log, CAIRN_POLICY_CP);
    story_wait_mode(story, N1, log, CAIRN_MODE_CP);
    story_must(story, withdraw(story, N1, log, 80), "cp: the majority goes on");
    story_must(story, !withdraw(story, N2, log, 80), "the majority knows what is left");
    story_must(story, !withdraw(story, N3, log, 80), "cp: the side that is cut off refuses");
    look_at_balance(story, N2, log, 20);
    look_at_balance(story, N3, log, 20);

    story_heal(story);
    for (uint8_t node = 0; node < STORY_NODES; node++)
        look_at_balance(story, node, log, 20);
    story_says(story, "Never a wrong balance, never overdrawn; the price: ann could not have her money at n3");
}

/* --- a social feed: old news are better than none --- */

static void
post(struct story *story, uint8_t node, uint32_t log, const char *who, const char *text)
{
    struct cairn_result result = {0};
    enum cairn_error error = story_append(story, node, log, who, text, &result);

    story_must(story, error == CAIRN_OK, "the feed takes every post, everywhere");
    story_does(story, node, "%s: \"%s\" (%s)", who, text, result.on_branch ? "tentative" : "on the trunk");
}

static void
like(struct story *story, uint8_t node, uint32_t log, const char *what)
{
    story_must(story, story_append(story, node, log, what, "+1", NULL) == CAIRN_OK, "every like is taken");
    story_does(story, node, "somebody likes %s", what);
}

struct feed {
    uint32_t posts;
};

static void
count_posts(void *context, const void *key, size_t key_bytes, const struct cairn_value *values, size_t count)
{
    struct feed *feed = context;

    (void)key, (void)key_bytes, (void)values;
    feed->posts += (uint32_t)count;
}

/* How many authors and likes a node shows. */
static void
show_feed(struct story *story, uint8_t node, uint32_t feed_log, uint32_t likes_log, uint32_t authors, long likes)
{
    struct cairn_view *posts, *liked;
    struct feed feed = {0};
    char text[64] = "";
    bool shown = story_view(story, node, feed_log, CAIRN_RESOLVE_LWW, CAIRN_READ_POLICY, &posts) == CAIRN_OK;

    if (shown && story_view(story, node, likes_log, CAIRN_RESOLVE_COUNTER, CAIRN_READ_POLICY, &liked) == CAIRN_OK) {
        story_value(liked, "the cat", text, sizeof(text));
        cairn_view_free(liked);
    }
    if (shown) {
        cairn_view_each(posts, count_posts, &feed);
        cairn_view_free(posts);
    }
    story_must(story, shown, "the feed is shown, everywhere");
    story_does(story, node, "shows %u authors, the cat has %ld likes", feed.posts, strtol(text, NULL, 10));
    story_must(story, feed.posts == authors && strtol(text, NULL, 10) == likes,
               "a node shows what it and its side have taken");
}

void
story_social(struct story *story)
{
    static const char *const who[] = {"ann", "bob", "cyd"};
    uint32_t feed, likes;

    story_says(story, "Posts go to a log with policy adaptive, likes to one with ap");
    feed = story_log(story, "feed", CAIRN_POLICY_ADAPTIVE);
    likes = story_log(story, "likes", CAIRN_POLICY_AP);
    post(story, N1, feed, "ann", "look at the cat");
    like(story, N2, likes, "the cat");

    story_cut(story, N3);
    story_wait_mode(story, N3, feed, CAIRN_MODE_AP);
    story_says(story, "Everybody goes on posting; n3 shows an old feed, with what its own users write");
    for (uint8_t node = 0; node < STORY_NODES; node++) {
        post(story, node, feed, who[node], "hello from here");
        for (int i = 0; i <= node; i++)
            like(story, node, likes, "the cat");
    }
    show_feed(story, N3, feed, likes, 2, 4);

    story_says(story, "Now nobody reaches anybody");
    story_cut(story, N1);
    for (uint8_t node = 0; node < STORY_NODES; node++)
        story_wait_mode(story, node, feed, CAIRN_MODE_AP);
    for (uint8_t node = 0; node < STORY_NODES; node++) {
        post(story, node, feed, who[node], "is anybody there?");
        like(story, node, likes, "the cat");
    }

    story_heal(story);
    for (uint8_t node = 0; node < STORY_NODES; node++)
        show_feed(story, node, feed, likes, 3, 10);
    story_says(story, "No post and no like lost or doubled; the price: for a while everybody saw something else");
}

/* --- a shop: the cart must not lose anything, the catalogue needs one price --- */

static void
cart(struct story *story, uint8_t node, uint32_t log, const char *change, const char *words)
{
    story_must(story, story_append(story, node, log, "ann", change, NULL) == CAIRN_OK, "the cart is always there");
    story_does(story, node, "ann %s", words);
}

static void
price(struct story *story, uint8_t node, uint32_t log, const char *amount)
{
    story_must(story, story_append(story, node, log, "kettle", amount, NULL) == CAIRN_OK, "a price can be set");
    story_does(story, node, "a clerk: the kettle is %s", amount);
}

static void
show_shop(struct story *story, uint8_t node, uint32_t carts, uint32_t catalogue, char *text, size_t text_bytes)
{
    struct cairn_view *view = NULL;
    char in[128], cost[64];

    story_must(story, story_view(story, node, carts, CAIRN_RESOLVE_SET, CAIRN_READ_POLICY, &view) == CAIRN_OK,
               "the cart can be seen");
    story_value(view, "ann", in, sizeof(in));
    cairn_view_free(view);
    story_must(story, story_view(story, node, catalogue, CAIRN_RESOLVE_LWW, CAIRN_READ_POLICY, &view) == CAIRN_OK,
               "the price can be seen");
    story_value(view, "kettle", cost, sizeof(cost));
    cairn_view_free(view);
    snprintf(text, text_bytes, "%s; %s", in, cost);
    story_does(story, node, "cart: %s; kettle %s", in, cost);
}

void
story_shop(struct story *story)
{
    char first[256], other[256];
    uint32_t carts, catalogue;

    story_says(story, "Carts are sets (what was put in stays in), the catalogue is last writer wins");
    carts = story_log(story, "carts", CAIRN_POLICY_ADAPTIVE);
    catalogue = story_log(story, "catalogue", CAIRN_POLICY_ADAPTIVE);
    price(story, N1, catalogue, "20");
    cart(story, N1, carts, "+kettle", "puts the kettle in");
    cart(story, N2, carts, "+cups", "puts cups in");

    story_cut(story, N3);
    story_wait_mode(story, N3, carts, CAIRN_MODE_AP);
    story_wait_mode(story, N3, catalogue, CAIRN_MODE_AP);
    story_says(story, "Ann's phone talks to n3, her laptop to n1; a clerk on each side changes the price");
    cart(story, N3, carts, "-kettle", "takes the kettle out");
    cart(story, N1, carts, "+kettle", "puts the kettle in again");
    cart(story, N1, carts, "-cups", "takes the cups out");
    cart(story, N3, carts, "+tea", "puts tea in");
    price(story, N1, catalogue, "18");
    price(story, N3, catalogue, "17");
    show_shop(story, N1, carts, catalogue, first, sizeof(first));
    show_shop(story, N3, carts, catalogue, other, sizeof(other));
    story_must(story, strcmp(first, "kettle; 18") == 0 && strcmp(other, "cups, tea; 17") == 0,
               "each side shows what it knows");

    story_heal(story);
    show_shop(story, N1, carts, catalogue, first, sizeof(first));
    for (uint8_t node = N2; node <= N3; node++) {
        show_shop(story, node, carts, catalogue, other, sizeof(other));
        story_must(story, strcmp(first, other) == 0, "everybody sees the same");
    }
    story_must(story, strcmp(first, "kettle, tea; 17") == 0,
               "what was put in while somebody else took it out stays in; the later price holds");
    story_says(story, "The kettle that was put in again is there, the cups are not, and the kettle has one price");
}
