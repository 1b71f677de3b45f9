/* What people do to directories, with exact steps: what was acknowledged stays, and what nobody can promise is refused. */
#include "sim/scene.h"

#include "node/state.h"
#include "sim/decisions.h"
#include "sim/disk.h"
#include "sim/life.h"
#include "sim/network.h"
#include "sim/node.h"
#include "sim/shelf.h"

#define SETTLED_NS (300 * MS)
#define QUIET_NS (60 * SIM_TIMEOUT_NS)

static void
put_back(struct sim *sim, uint8_t node)
{
    sim->nodes[node].disk.damaged = true;
    disk_unshelve(&sim->nodes[node]);
}

/* What two of three agreed on while the third is away: returns with all of them down. */
static void
agree_without(struct sim *sim, uint8_t one, uint8_t other, uint8_t away, uint64_t first_seq, uint64_t last_seq)
{
    node_crash(&sim->nodes[away]);
    eventually(sim, WITHIN, sim_leader(sim, LOG) == one || sim_leader(sim, LOG) == other);
    for (uint64_t seq = first_seq; seq <= last_seq; seq++)
        expect(sim, append(sim, scene_leader(sim), 7, seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    node_crash(&sim->nodes[one]);
    node_crash(&sim->nodes[other]);
}

/* What is put back is doubted: with the one that was away it makes no majority, and it counts when the leader is back. */
static void
doubted_until_the_leader_is_back(struct sim *sim, uint8_t leader, uint8_t away, uint8_t victim)
{
    put_back(sim, victim);
    node_boot(&sim->nodes[victim]);
    node_boot(&sim->nodes[away]);
    nobody_leads(sim, QUIET_NS);
    expect(sim, !takes_part(sim, victim));
    node_boot(&sim->nodes[leader]);
    eventually(sim, WITHIN, takes_part(sim, victim));
    end_with_each_once(sim, 5);
}

/* It runs once without its volume, and promises something; then the volume is there again. */
static void
volume_missing_once(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3), away = follower(sim, leader, 1), victim = follower(sim, leader, 2);

    node_crash(&sim->nodes[victim]);
    disk_shelve(&sim->nodes[victim], false);
    sim->nodes[victim].disk.damaged = true;
    node_boot(&sim->nodes[victim]);
    eventually(sim, WITHIN, takes_part(sim, victim));
    agree_without(sim, leader, victim, away, 1, 5);
    doubted_until_the_leader_is_back(sim, leader, away, victim);
}

/* A copy of its directory, older by what it has acknowledged since, is put in its place. The third, which lacks that, knows
 * how far it had come. */
static void
old_copy_put_back(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3), away = follower(sim, leader, 1), victim = follower(sim, leader, 2);

    /* Within one life: lives tell nothing. */
    sim_run_for(sim, SETTLED_NS);
    disk_shelve(&sim->nodes[victim], true);
    sim->links[leader][away].lost_type = MESSAGE_APPEND;
    for (uint64_t seq = 1; seq <= 5; seq++)
        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    for (uint8_t i = 0; i < 3; i++)
        node_crash(&sim->nodes[i]);
    sim->links[leader][away].lost_type = MESSAGE_NONE;
    doubted_until_the_leader_is_back(sim, leader, away, victim);
}

/* It is granted a life by three others, of whom one is cut off before it tells what was agreed on: the old copy counts for
 * nothing, also after another start. */
static void
old_copy_granted(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 5), victim = follower(sim, leader, 1), knows = follower(sim, leader, 2);
    uint8_t others[] = {follower(sim, leader, 3), follower(sim, leader, 4)};
    uint32_t number;

    sim_run_for(sim, SETTLED_NS);
    disk_shelve(&sim->nodes[victim], true);
    for (uint32_t i = 0; i < 2; i++)
        sim->links[leader][others[i]].lost_type = MESSAGE_APPEND;
    for (uint64_t seq = 1; seq <= 5; seq++)
        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    number = sim->nodes[victim].incarnation;
    node_crash(&sim->nodes[victim]);
    node_crash(&sim->nodes[leader]);
    for (uint32_t i = 0; i < 2; i++)
        sim->links[leader][others[i]].lost_type = MESSAGE_NONE;
    lose_from(sim, knows, MESSAGE_RECOVER_REPLY);
    for (uint32_t i = 0; i < 2; i++) {
        lose_from(sim, others[i], MESSAGE_PULL);
        network_cut(sim, knows, others[i], true);
    }
    put_back(sim, victim);
    node_boot(&sim->nodes[victim]);
    eventually(sim, WITHIN, sim->nodes[victim].incarnation > number + 1);
    isolate(sim, knows, true);
    nobody_leads(sim, QUIET_NS);
    expect(sim, !takes_part(sim, victim));
    node_crash(&sim->nodes[victim]);
    node_boot(&sim->nodes[victim]);
    nobody_leads(sim, QUIET_NS);
    expect(sim, !takes_part(sim, victim));
    network_heal(sim);
    lose_from(sim, knows, MESSAGE_NONE);
    for (uint32_t i = 0; i < 2; i++)
        lose_from(sim, others[i], MESSAGE_NONE);
    node_boot(&sim->nodes[leader]);
    eventually(sim, WITHIN, takes_part(sim, victim));
    end_with_each_once(sim, 5);
}

/* Nothing happened between the two lives but their starts: it is told by the lives alone. */
static void
directory_lives_twice(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3), victim = follower(sim, leader, 1);
    uint32_t twice;

    sim_run_for(sim, SETTLED_NS);
    node_crash(&sim->nodes[victim]);
    disk_shelve(&sim->nodes[victim], true);
    node_boot(&sim->nodes[victim]);
    eventually(sim, WITHIN, takes_part(sim, victim));
    twice = sim->nodes[victim].incarnation;
    sim_run_for(sim, SETTLED_NS);
    node_crash(&sim->nodes[victim]);
    put_back(sim, victim);
    node_boot(&sim->nodes[victim]);
    sim_run_for(sim, SETTLED_NS);
    eventually(sim, WITHIN, takes_part(sim, victim));
    /* Of that number there was a life already. */
    expect(sim, sim->nodes[victim].incarnation > twice);
    expect(sim, append(sim, scene_leader(sim), 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    end_with_each_once(sim, 1);
}

/* Each in turn loses all that it was, in memory, as machines do that are rebooted and keep it on a tmpfs. */
static void
rolling_reboot_in_memory(struct sim *sim)
{
    scene_start(sim, 3, CAIRN_POLICY_CP);
    for (uint64_t seq = 1; seq <= 5; seq++)
        expect(sim, append(sim, scene_leader(sim), 7, seq, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    for (uint8_t i = 0; i < 3; i++) {
        node_crash(&sim->nodes[i]);
        sim->nodes[i].identified = false;
        node_boot(&sim->nodes[i]);
        eventually(sim, WITHIN, takes_part(sim, i));
        eventually(sim, WITHIN, all_follow(sim));
    }
    end_with_each_once(sim, 5);
}

/* What is known of a life is passed on: of those who knew it from itself none is left that remembers by then. */
static void
lives_are_passed_on(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 5), victim = follower(sim, leader, 1);
    uint32_t number;

    node_crash(&sim->nodes[victim]);
    disk_shelve(&sim->nodes[victim], false);
    sim->nodes[victim].disk.damaged = true;
    node_boot(&sim->nodes[victim]);
    eventually(sim, WITHIN, takes_part(sim, victim));
    number = sim->nodes[victim].incarnation;
    sim_run_for(sim, SETTLED_NS);
    node_crash(&sim->nodes[victim]);
    for (uint8_t i = 0; i < 5; i++) {
        if (i == victim)
            continue;
        node_crash(&sim->nodes[i]);
        disk_wipe(&sim->nodes[i]);
        sim->nodes[i].disk.damaged = true;
        sim->nodes[i].identified = false;
        node_boot(&sim->nodes[i]);
        eventually(sim, 2 * WITHIN, takes_part(sim, i));
        sim_run_for(sim, SETTLED_NS);
    }
    for (uint8_t i = 0; i < 5; i++)
        expect(sim, i == victim || sim->nodes[i].node->introduction.lives.identity.known[victim].life.number >= number);
    put_back(sim, victim);
    node_boot(&sim->nodes[victim]);
    sim_run_for(sim, SETTLED_NS);
    eventually(sim, WITHIN, takes_part(sim, victim));
    expect(sim, sim->nodes[victim].incarnation > number);
    end_with_each_once(sim, 0);
}

/* Two of three lose their disks. The third goes on by command, from all that was acknowledged. */
static void
goes_on_from_one(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3);

    for (uint64_t seq = 1; seq <= 5; seq++)
        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    for (uint8_t i = 0; i < 3; i++) {
        node_crash(&sim->nodes[i]);
        if (i != leader)
            lose_disk(sim, i);
    }
    for (uint8_t i = 0; i < 3; i++)
        node_boot(&sim->nodes[i]);
    nobody_leads(sim, QUIET_NS);
    give_up_others(sim, leader);
    eventually(sim, WITHIN, sim_leader(sim, LOG) == leader && sim_leader(sim, 0) == leader);
    expect(sim, append(sim, leader, 7, 6, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    all_vote_again(sim, leader);
    expect(sim, append(sim, leader, 7, 7, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    end_with_each_once(sim, 7);
}

/* Those that it goes on without have all that they had, and come back with nothing of it; also where the one that goes on
 * was restarted in between. */
static void
given_up_come_back_anew(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3);
    uint32_t numbers[3];

    for (uint64_t seq = 1; seq <= 5; seq++)
        expect(sim, append(sim, leader, 7, seq, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    sim_run_for(sim, SETTLED_NS);
    for (uint8_t i = 0; i < 3; i++) {
        numbers[i] = sim->nodes[i].incarnation;
        node_crash(&sim->nodes[i]);
    }
    node_boot(&sim->nodes[leader]);
    eventually(sim, WITHIN, node_is_up(&sim->nodes[leader]) && node_log_of(&sim->nodes[leader], LOG) != NULL);
    sim_run_for(sim, SETTLED_NS);
    give_up_others(sim, leader);
    eventually(sim, WITHIN, sim_leader(sim, LOG) == leader && sim_leader(sim, 0) == leader);
    expect(sim, append(sim, leader, 7, 6, CAIRN_ACK_MAJORITY, NULL) == CAIRN_OK);
    node_crash(&sim->nodes[leader]);
    node_boot(&sim->nodes[leader]);
    eventually(sim, WITHIN, sim_leader(sim, LOG) == leader && sim_leader(sim, 0) == leader);
    for (uint8_t i = 0; i < 3; i++) {
        if (i != leader)
            node_boot(&sim->nodes[i]);
    }
    all_vote_again(sim, leader);
    for (uint8_t i = 0; i < 3; i++)
        expect(sim, i == leader || sim->nodes[i].incarnation > numbers[i] + 1);
    expect(sim, append(sim, leader, 7, 7, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    end_with_each_once(sim, 7);
}

/* Nothing is given up where a majority is well, nor by one that has forgotten itself. */
static void
no_decision_that_is_not_called_for(struct sim *sim)
{
    uint8_t leader = scene_start_on_disk(sim, 3), other = follower(sim, leader, 1), victim = follower(sim, leader, 2);

    give_up_others(sim, other);
    sim_run_for(sim, SETTLED_NS);
    expect(sim, atomic_load(&sim->nodes[other].node->rescue.state) == RESCUE_REFUSED);
    for (uint8_t i = 0; i < 3; i++)
        node_crash(&sim->nodes[i]);
    lose_disk(sim, victim);
    node_boot(&sim->nodes[victim]);
    node_boot(&sim->nodes[other]);
    sim_run_for(sim, SETTLED_NS);
    expect(sim, !takes_part(sim, victim));
    give_up_others(sim, victim);
    sim_run_for(sim, SETTLED_NS);
    expect(sim, !takes_part(sim, victim));
    node_boot(&sim->nodes[leader]);
    eventually(sim, WITHIN, takes_part(sim, victim));
    expect(sim, append(sim, scene_leader(sim), 7, 1, CAIRN_ACK_ALL, NULL) == CAIRN_OK);
    end_with_each_once(sim, 1);
}

const struct scenario scenarios_operators[] = {
    {"volume-missing-once", "a life without the volume is known when the volume is back", volume_missing_once},
    {"old-copy-put-back", "a directory that steps back in time has forgotten", old_copy_put_back},
    {"old-copy-granted", "an old copy counts for nothing before it has recovered", old_copy_granted},
    {"directory-lives-twice", "a copied directory that lives twice has forgotten", directory_lives_twice},
    {"rolling-reboot-in-memory", "one after the other may lose all that it was", rolling_reboot_in_memory},
    {"goes-on-from-one", "one of three that knows what was promised goes on by command", goes_on_from_one},
    {"given-up-come-back-anew", "who was given up comes back with nothing of what it held", given_up_come_back_anew},
    {"no-decision-uncalled-for", "nothing is given up where a majority is well, or by who has forgotten",
     no_decision_that_is_not_called_for},
    {"lives-are-passed-on", "who comes to know a life keeps it for those who forget", lives_are_passed_on},
    {0},
};
