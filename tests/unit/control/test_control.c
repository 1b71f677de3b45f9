/* The detector and the modes. */
#include "control/config.h"
#include "rules/detector.h"
#include "rules/health.h"
#include "rules/mode.h"
#include "tests/unit/check.h"

#define MS 1000000ull

static unsigned
observe(struct detector *detector, uint8_t peer, uint32_t incarnation, cairn_node_set hears, uint64_t pace_ns,
        uint64_t now_ns)
{
    const struct detector_beat beat = {.incarnation = incarnation, .hears = hears, .pace_ns = pace_ns};

    return detector_observe(detector, peer, &beat, now_ns);
}

static struct detector
detector_of_three(void)
{
    struct detector_config config = {
        .self = 0, .nodes = 3, .rejoin_beats = 3, .interval_ns = MS, .timeout_ns = 10 * MS, .ceiling_ns = 500 * MS};
    struct detector detector;

    detector_init(&detector, &config, 1000 * MS);
    return detector;
}

/* Both peers beat until `to`; returns the time. */
static uint64_t
beat(struct detector *detector, uint64_t from_ns, uint64_t to_ns, cairn_node_set peers)
{
    for (; from_ns <= to_ns; from_ns += MS) {
        for (uint8_t peer = 1; peer < 3; peer++) {
            if (peers & (1u << peer))
                observe(detector, peer, 1, 7, MS, from_ns);
        }
        detector_tick(detector, from_ns, true);
    }
    return to_ns;
}

static void
a_silent_peer_is_suspected_after_the_timeout_and_not_before(void **state)
{
    struct detector detector = detector_of_three();
    uint64_t cut = beat(&detector, 1001 * MS, 1020 * MS, 6);

    (void)state;
    assert_int_equal(detector_reach(&detector), 7);
    beat(&detector, cut + MS, cut + 9 * MS, 2);
    assert_int_equal(detector_reach(&detector), 7);
    beat(&detector, cut + 10 * MS, cut + 10 * MS, 2);
    assert_int_equal(detector_reach(&detector), 3);
}

static void
a_peer_counts_again_after_beats_in_a_row(void **state)
{
    struct detector detector = detector_of_three();

    (void)state;
    assert_false(observe(&detector, 1, 1, 7, MS, 1001 * MS) & DETECTOR_HEARD);
    assert_false(observe(&detector, 1, 1, 7, MS, 1002 * MS) & DETECTOR_HEARD);
    assert_true(observe(&detector, 1, 1, 7, MS, 1003 * MS) & DETECTOR_HEARD);
    assert_int_equal(detector_hears(&detector), 3);
}

/* Every beat_ns while the link is up; returns how often the peer came to count, and to count no more. */
static uint32_t
flap(struct detector *detector, uint64_t *now_ns, uint64_t up_ns, uint64_t down_ns, uint64_t for_ns)
{
    uint64_t end_ns = *now_ns + for_ns, turn_ns = *now_ns;
    bool up = false, alive = (detector_hears(detector) & 2) != 0;
    uint32_t changes = 0;

    for (; *now_ns < end_ns; *now_ns += 1000000) {
        if (*now_ns >= turn_ns) {
            up = !up;
            turn_ns = *now_ns + (up ? up_ns : down_ns);
        }
        if (up)
            observe(detector, 1, 1, 3, 1000000, *now_ns);
        detector_tick(detector, *now_ns, true);
        changes += alive != ((detector_hears(detector) & 2) != 0);
        alive = (detector_hears(detector) & 2) != 0;
    }
    return changes;
}

static void
a_flapping_link_is_held_back_and_counts_again_when_it_is_steady(void **state)
{
    static const uint64_t ms = 1000000;
    struct detector_config config = {.self = 0,
                                     .nodes = 2,
                                     .rejoin_beats = 3,
                                     .interval_ns = ms,
                                     .timeout_ns = 10 * ms,
                                     .ceiling_ns = 10 * ms,
                                     .hold_max_ns = 1000 * ms};
    uint64_t now_ns = 1000 * ms;
    struct detector detector;

    (void)state;
    detector_init(&detector, &config, now_ns);
    /* 10 Hz for a minute: a handful of changes at once, then none. */
    assert_in_range(flap(&detector, &now_ns, 50 * ms, 50 * ms, 5000 * ms), 2, 8);
    assert_int_equal(flap(&detector, &now_ns, 50 * ms, 50 * ms, 55000 * ms), 0);
    /* Steady again: it counts after what it was held back for. */
    assert_int_equal(flap(&detector, &now_ns, 200 * ms, 0, 200 * ms), 1);
    assert_true(detector_hears(&detector) & 2);
    /* Whatever the rhythm, not more than one cut each hold_max_ns once it is known to flap. */
    for (uint64_t up_ms = 20; up_ms < 3000; up_ms = up_ms * 3 / 2) {
        detector_init(&detector, &config, now_ns);
        flap(&detector, &now_ns, up_ms * ms, 30 * ms, 20000 * ms);
        assert_in_range(flap(&detector, &now_ns, up_ms * ms, 30 * ms, 60000 * ms), 0, 2 * 60 + 2);
    }
    /* Once it has been calm, the first cut costs nothing. */
    flap(&detector, &now_ns, 5000 * ms, 0, 5000 * ms);
    flap(&detector, &now_ns, 0, 20 * ms, 21 * ms);
    assert_int_equal(flap(&detector, &now_ns, 10 * ms, 0, 5 * ms), 1);
}

static void
a_one_way_link_is_not_in_reach(void **state)
{
    struct detector detector = detector_of_three();

    (void)state;
    for (uint64_t at = 1001; at < 1010; at++)
        observe(&detector, 1, 1, 6, MS, at * MS); /* it does not hear node 0 */
    assert_int_equal(detector_hears(&detector), 3);
    assert_int_equal(detector_reach(&detector), 1);
}

static void
ones_own_pause_is_not_the_peers(void **state)
{
    struct detector detector = detector_of_three();
    uint64_t paused = beat(&detector, 1001 * MS, 1020 * MS, 6);

    (void)state;
    /* Not before all that waited is read. */
    assert_int_equal(detector_tick(&detector, paused + 50 * MS, false), 0);
    assert_int_equal(detector_tick(&detector, paused + 50 * MS, true), 0);
    assert_int_equal(detector_reach(&detector), 7);
    beat(&detector, paused + 51 * MS, paused + 70 * MS, 2);
    assert_int_equal(detector_reach(&detector), 3);
}

static void
a_resting_peer_is_waited_for_less(void **state)
{
    struct detector detector = detector_of_three();
    uint64_t at = 1000 * MS, pace_ns = detector_rest_pace_ns(&detector);

    (void)state;
    for (int i = 0; i < 10; i++) {
        at += pace_ns;
        observe(&detector, 1, 1, 7, pace_ns, at);
        detector_tick(&detector, at, true);
    }
    /* The worst cut comes right after a beat that is still to be read: seen within timeout + interval
     * all the same. */
    assert_int_equal(detector_deadline_ns(&detector) + pace_ns, at + 11 * MS);
}

static void
a_new_life_is_told_and_the_former_is_stale(void **state)
{
    struct detector detector = detector_of_three();

    (void)state;
    assert_int_equal(detector_incarnation(&detector, 1, 4), DETECTOR_SAME);
    assert_int_equal(detector_incarnation(&detector, 1, 5), DETECTOR_RESTARTED);
    assert_int_equal(detector_incarnation(&detector, 1, 4), DETECTOR_STALE);
    assert_int_equal(detector.stale, 1);
}

/* Beats every millisecond and late_ns more, now and then; returns the time. */
static uint64_t
beat_late(struct detector *detector, uint64_t at_ns, uint32_t beats, uint64_t late_ns, uint32_t every)
{
    for (uint32_t i = 1; i <= beats; i++) {
        at_ns += MS + (i % every == 0 ? late_ns : 0);
        observe(detector, 1, 1, 7, MS, at_ns);
        observe(detector, 2, 1, 7, MS, at_ns);
        detector_tick(detector, at_ns, true);
    }
    return at_ns;
}

static uint64_t
wait_of(const struct detector *detector)
{
    struct detector_patience patience;

    detector_patience(detector, &patience);
    return patience.wait_ns;
}

/* Nobody is heard for so long; returns who is suspected. */
static cairn_node_set
silence(struct detector *detector, uint64_t from_ns, uint64_t for_ns)
{
    cairn_node_set suspected = 0;

    for (uint64_t at_ns = from_ns + MS; at_ns <= from_ns + for_ns; at_ns += MS)
        suspected |= detector_tick(detector, at_ns, true);
    return suspected;
}

static void
lateness_lengthens_the_timeout_from_the_agreed_one_up_to_the_ceiling(void **state)
{
    struct detector detector = detector_of_three();
    uint64_t at_ns;

    (void)state;
    at_ns = beat_late(&detector, 1000 * MS, 1000, 0, 1);
    assert_int_equal(detector.peers[1].timeout_ns, 10 * MS); /* never less, however punctual */
    assert_int_equal(silence(&detector, at_ns, 9 * MS), 0);
    assert_int_equal(silence(&detector, at_ns + 9 * MS, MS), 6);
    at_ns = beat_late(&detector, at_ns + 10 * MS, 4000, 6 * MS, 100);
    assert_in_range(detector.peers[1].timeout_ns, 14 * MS, 17 * MS);
    at_ns = beat_late(&detector, at_ns, 4000, 13 * MS, 100);
    at_ns = beat_late(&detector, at_ns, 4000, 25 * MS, 100);
    assert_in_range(detector.peers[1].timeout_ns, 52 * MS, 66 * MS);
    for (uint64_t late_ns = 50 * MS; late_ns < 2000 * MS; late_ns *= 2)
        at_ns = beat_late(&detector, at_ns, 4000, late_ns, 100);
    assert_in_range(wait_of(&detector), 10 * MS, 500 * MS);
}

/* Cut off for 300 ms, again and again, with some beats between. */
static void
cuts_teach_nothing(void **state)
{
    struct detector detector = detector_of_three();
    uint64_t at_ns = beat(&detector, 1001 * MS, 1300 * MS, 6), cut_ns;

    (void)state;
    for (int cut = 0; cut < 100; cut++) {
        cut_ns = at_ns;
        at_ns = beat(&detector, cut_ns + MS, cut_ns + 300 * MS, 2);
        assert_int_equal(detector_hears(&detector), 3);
        at_ns = beat(&detector, at_ns + MS, at_ns + 100 * MS, 6);
        assert_int_equal(detector_hears(&detector), 7);
    }
    assert_int_equal(wait_of(&detector), 10 * MS);
}

/* A write is on its way in a turn that lasts beyond the time that the next one is wanted at, and is done by the next look: it
 * took no time, and not all the time that there is, by which every later one would be slow. */
static void
what_is_done_before_the_clock_goes_on_took_no_time(void **state)
{
    struct detector detector = detector_of_three();
    struct pulse pulse = {.usual_ns = 0};
    uint64_t now_ns = beat(&detector, 1001 * MS, 1100 * MS, 6), submitted_ns = detector_awake_ns(&detector, now_ns);

    (void)state;
    detector_expect(&detector, now_ns - MS);
    assert_true(detector_awake_ns(&detector, now_ns) < submitted_ns);
    assert_int_equal(detector_awake_since_ns(&detector, submitted_ns, now_ns), 0);
    pulse_note(&pulse, detector_awake_since_ns(&detector, submitted_ns, now_ns), now_ns);
    assert_int_equal(pulse.usual_ns, 0);
    detector_tick(&detector, now_ns, true);
    assert_int_equal(detector_awake_since_ns(&detector, submitted_ns, now_ns + 3 * MS), 2 * MS);
}

/* This node runs so much later than it wanted to; what came meanwhile it reads first. */
static uint64_t
stall(struct detector *detector, uint64_t now_ns, uint64_t stall_ns)
{
    detector_expect(detector, now_ns + MS);
    now_ns += MS + stall_ns;
    for (uint8_t peer = 1; peer < 3; peer++)
        observe(detector, peer, 1, 7, MS, now_ns);
    assert_int_equal(detector_tick(detector, now_ns, true), 0);
    return now_ns;
}

static void
own_stalls_are_no_lateness_of_peers_and_lengthen_suspicion_at_once(void **state)
{
    struct detector detector = detector_of_three();
    struct detector_patience patience;
    uint64_t at_ns = beat(&detector, 1001 * MS, 1300 * MS, 6);

    (void)state;
    at_ns = stall(&detector, at_ns, 4 * MS);
    assert_int_equal(wait_of(&detector), 10 * MS); /* the timeout is long enough for that */
    at_ns = stall(&detector, at_ns, 50 * MS);
    detector_patience(&detector, &patience);
    assert_int_equal(patience.wait_ns, 102 * MS);
    assert_int_equal(patience.reason, DETECTOR_OWN_STALLS);
    assert_int_equal(patience.cause_ns, 50 * MS);
    assert_int_equal(detector_stall_ns(&detector), 50 * MS);
    assert_int_equal(detector.peers[1].lateness.mean_ns, 0);
    assert_int_equal(detector_slow(&detector), 0);
    stall(&detector, at_ns, 400 * MS);
    assert_int_equal(wait_of(&detector), 500 * MS);
}

static void
a_node_alone_waits_by_the_timeout_that_was_agreed_on_last(void **state)
{
    struct detector_config config = {
        .self = 0, .nodes = 1, .rejoin_beats = 3, .interval_ns = MS, .timeout_ns = 100 * MS, .ceiling_ns = 500 * MS};
    struct detector_patience patience;
    struct detector detector;

    (void)state;
    detector_init(&detector, &config, 1000 * MS);
    config.timeout_ns = 10 * MS;
    detector_reconfigure(&detector, &config, 0);
    detector_patience(&detector, &patience);
    assert_int_equal(patience.wait_ns, 10 * MS);
}

static void
a_hiccup_is_forgotten_in_seconds_and_busy_cores_in_minutes(void **state)
{
    struct detector detector = detector_of_three();
    uint64_t at_ns = beat(&detector, 1001 * MS, 1300 * MS, 6);

    (void)state;
    at_ns = stall(&detector, at_ns, 50 * MS);
    at_ns = beat(&detector, at_ns + MS, at_ns + 2000 * MS, 6);
    assert_int_equal(wait_of(&detector), 10 * MS);
    for (int time = 0; time < 100; time++) {
        at_ns = stall(&detector, at_ns, 50 * MS);
        at_ns = beat(&detector, at_ns + MS, at_ns + 200 * MS, 6);
    }
    at_ns = beat(&detector, at_ns + MS, at_ns + 100000 * MS, 6);
    assert_int_equal(wait_of(&detector), 102 * MS);
    beat(&detector, at_ns + MS, at_ns + 140000 * MS, 6);
    assert_int_equal(wait_of(&detector), 10 * MS);
}

static void
a_peer_that_says_it_stalls_is_waited_for_and_no_longer_than_the_ceiling(void **state)
{
    struct detector detector = detector_of_three();
    struct detector_beat word = {.incarnation = 1, .hears = 7, .pace_ns = MS, .stall_ns = 30 * MS};
    uint64_t at_ns = beat(&detector, 1001 * MS, 1300 * MS, 6);

    (void)state;
    detector_observe(&detector, 1, &word, at_ns);
    assert_int_equal(silence(&detector, at_ns, 61 * MS), 1u << 2);
    assert_int_equal(silence(&detector, at_ns + 61 * MS, MS), 1u << 1);
    word.stall_ns = UINT64_MAX;
    detector_observe(&detector, 1, &word, at_ns + 63 * MS);
    assert_int_equal(detector.peers[1].timeout_ns, 500 * MS);
}

static void
who_is_late_time_and_again_is_slow_until_it_is_not(void **state)
{
    struct detector detector = detector_of_three();
    uint64_t at_ns = beat_late(&detector, 1000 * MS, 100, 0, 1);

    (void)state;
    assert_int_equal(detector_slow(&detector), 0);
    at_ns = beat_late(&detector, at_ns, 1, 9 * MS, 1);
    assert_int_equal(detector_slow(&detector), 0); /* once is nothing */
    at_ns = beat_late(&detector, at_ns, 100, 3 * MS, 1);
    assert_int_equal(detector_slow(&detector), 6);
    assert_int_equal(detector_reach(&detector), 7);
    at_ns = beat_late(&detector, at_ns, 8, 0, 1);
    assert_int_equal(detector_slow(&detector), 6);
    beat_late(&detector, at_ns, 100, 0, 1);
    assert_int_equal(detector_slow(&detector), 0);
}

static void
quantiles_of_lateness_are_right_to_a_bucket(void **state)
{
    struct lateness lateness = {0};

    (void)state;
    assert_int_equal(lateness_quantile_ns(&lateness, 999), 0);
    for (uint64_t i = 1; i <= 1000; i++)
        lateness_note(&lateness, i * 10000);
    for (uint32_t thousandths = 1; thousandths <= 1000; thousandths++) {
        uint64_t exact_ns = thousandths * 10000ull, found_ns = lateness_quantile_ns(&lateness, thousandths);

        assert_true(found_ns >= exact_ns && found_ns <= exact_ns + exact_ns / 4 + 1024);
    }
    lateness_note(&lateness, UINT64_MAX / 2);
    assert_true(lateness_quantile_ns(&lateness, 1000) > 16000000000ull);
    /* What is old is forgotten. */
    for (uint32_t i = 0; i < 100000; i++)
        lateness_note(&lateness, 0);
    assert_int_equal(lateness_quantile_ns(&lateness, 1000), 1024);
    assert_true(lateness.count < 4096 && lateness.mean_ns < 16);
}

static void
modes_follow_policy_and_reach(void **state)
{
    static const struct {
        enum cairn_policy policy;
        uint32_t reached;
        bool branch;
        enum cairn_mode mode;
        bool falls_to_cp;
    } rows[] = {
        {CAIRN_POLICY_CP, 3, false, CAIRN_MODE_CP, false},
        {CAIRN_POLICY_CP, 2, false, CAIRN_MODE_CP, false},
        {CAIRN_POLICY_CP, 1, false, CAIRN_MODE_DENIED, false},
        {CAIRN_POLICY_CP, 2, true, CAIRN_MODE_MERGING, false},
        {CAIRN_POLICY_ADAPTIVE, 2, false, CAIRN_MODE_CP, false},
        {CAIRN_POLICY_ADAPTIVE, 1, false, CAIRN_MODE_AP, false},
        {CAIRN_POLICY_ADAPTIVE, 1, true, CAIRN_MODE_AP, false},
        {CAIRN_POLICY_ADAPTIVE, 3, true, CAIRN_MODE_MERGING, false},
        {CAIRN_POLICY_AP, 3, false, CAIRN_MODE_AP, false},
        {CAIRN_POLICY_AP, 1, true, CAIRN_MODE_AP, false},
        {CAIRN_POLICY_CA, 3, false, CAIRN_MODE_CP, false},
        {CAIRN_POLICY_CA, 2, false, CAIRN_MODE_DENIED, false},
        {CAIRN_POLICY_CA, 2, false, CAIRN_MODE_CP, true},
        {CAIRN_POLICY_CA, 1, false, CAIRN_MODE_DENIED, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct mode_inputs inputs = {
            .policy = rows[i].policy,
            .nodes = 3,
            .reached = rows[i].reached,
            .branch_pending = rows[i].branch,
            .falls_to_cp = rows[i].falls_to_cp,
        };

        assert_int_equal(mode_decide(&inputs), rows[i].mode);
    }
}

static void
more_than_can_be_met_is_refused_and_less_is_never_given(void **state)
{
    struct mode_inputs alone = {.policy = CAIRN_POLICY_ADAPTIVE, .nodes = 3, .reached = 1};
    struct mode_inputs two = {.policy = CAIRN_POLICY_CP, .nodes = 3, .reached = 2};
    struct mode_inputs falls = {.policy = CAIRN_POLICY_CA, .nodes = 3, .reached = 2, .falls_to_cp = true};
    enum cairn_read_level level;
    enum cairn_ack ack;
    char text[64];

    (void)state;
    assert_int_equal(mode_admit_append(CAIRN_MODE_AP, &alone, CAIRN_ACK_POLICY, &ack), CAIRN_OK);
    assert_int_equal(ack, CAIRN_ACK_LOCAL);
    assert_int_equal(mode_admit_append(CAIRN_MODE_AP, &alone, CAIRN_ACK_MAJORITY, &ack), CAIRN_NO_QUORUM);
    assert_int_equal(mode_admit_append(CAIRN_MODE_CP, &two, CAIRN_ACK_POLICY, &ack), CAIRN_OK);
    assert_int_equal(ack, CAIRN_ACK_MAJORITY);
    assert_int_equal(mode_admit_append(CAIRN_MODE_CP, &two, CAIRN_ACK_ALL, &ack), CAIRN_NO_QUORUM);
    assert_int_equal(mode_admit_append(CAIRN_MODE_CP, &falls, CAIRN_ACK_POLICY, &ack), CAIRN_OK);
    assert_int_equal(ack, CAIRN_ACK_MAJORITY);
    assert_int_equal(mode_admit_append(CAIRN_MODE_CP, &falls, CAIRN_ACK_ALL, &ack), CAIRN_NO_QUORUM);
    falls.reached = 3;
    assert_int_equal(mode_admit_append(CAIRN_MODE_CP, &falls, CAIRN_ACK_POLICY, &ack), CAIRN_OK);
    assert_int_equal(ack, CAIRN_ACK_ALL);
    assert_int_equal(mode_admit_read(CAIRN_MODE_AP, &alone, CAIRN_DENY_WRITES, CAIRN_READ_POLICY, &level), CAIRN_OK);
    assert_int_equal(level, CAIRN_READ_STALE);
    assert_int_equal(mode_admit_read(CAIRN_MODE_AP, &alone, CAIRN_DENY_WRITES, CAIRN_READ_LINEARIZABLE, &level),
                     CAIRN_NO_QUORUM);
    assert_int_equal(mode_admit_read(CAIRN_MODE_DENIED, &alone, CAIRN_DENY_BOTH, CAIRN_READ_STALE, &level),
                     CAIRN_DENIED);
    mode_reason(&alone, CAIRN_ACK_POLICY, text, sizeof(text));
    assert_string_equal(text, "no quorum: reaching 1 of 3, need 2");
}

/* Else a process that was stopped for seconds once is waited for as long the next time that it fails. */
static void
no_timeout_learns_to_wait_for_what_no_scheduler_does(void **state)
{
    struct cluster_config shared = {.profile = PROFILE_SHARED}, wan = {.profile = PROFILE_WAN};
    struct cluster_config longest = {.profile = PROFILE_WAN, .timeout_us = 3000000};
    struct cluster_config chosen = {.profile = PROFILE_WAN, .timeout_ceiling_us = 9000000};

    (void)state;
    assert_int_equal(cluster_timing(&shared).ceiling_ns, 500000000);
    assert_int_equal(cluster_timing(&wan).ceiling_ns, 1000000000);
    assert_int_equal(cluster_timing(&longest).ceiling_ns, 6000000000);
    assert_int_equal(cluster_timing(&chosen).ceiling_ns, 9000000000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_peer_is_suspected_after_the_timeout_and_not_before),
        cmocka_unit_test(a_peer_counts_again_after_beats_in_a_row),
        cmocka_unit_test(a_flapping_link_is_held_back_and_counts_again_when_it_is_steady),
        cmocka_unit_test(a_one_way_link_is_not_in_reach),
        cmocka_unit_test(ones_own_pause_is_not_the_peers),
        cmocka_unit_test(a_resting_peer_is_waited_for_less),
        cmocka_unit_test(a_new_life_is_told_and_the_former_is_stale),
        cmocka_unit_test(lateness_lengthens_the_timeout_from_the_agreed_one_up_to_the_ceiling),
        cmocka_unit_test(cuts_teach_nothing),
        cmocka_unit_test(own_stalls_are_no_lateness_of_peers_and_lengthen_suspicion_at_once),
        cmocka_unit_test(a_node_alone_waits_by_the_timeout_that_was_agreed_on_last),
        cmocka_unit_test(a_hiccup_is_forgotten_in_seconds_and_busy_cores_in_minutes),
        cmocka_unit_test(a_peer_that_says_it_stalls_is_waited_for_and_no_longer_than_the_ceiling),
        cmocka_unit_test(no_timeout_learns_to_wait_for_what_no_scheduler_does),
        cmocka_unit_test(who_is_late_time_and_again_is_slow_until_it_is_not),
        cmocka_unit_test(quantiles_of_lateness_are_right_to_a_bucket),
        cmocka_unit_test(what_is_done_before_the_clock_goes_on_took_no_time),
        cmocka_unit_test(modes_follow_policy_and_reach),
        cmocka_unit_test(more_than_can_be_met_is_refused_and_less_is_never_given),
    };

    return RUN_TESTS(tests);
}
