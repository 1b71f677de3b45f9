#!/usr/bin/env python3
"""Deliberately broken variants of the deciding code, each of which the simulator has to catch.

    mutants.py [NAME...] [--list] [--check] [--table FILE]

For each row below the change is made in a copy of the tree, `cairn` is built there, and scenarios and
random runs are played until something is violated, for a minute at most. A variant that survives is a
hole in the checker (or no mistake at all): exit status 1. --check only looks whether every row still applies.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SECONDS = 60

# name, file, what stands there (exactly once), what the variant has instead, what it does wrong
MUTANTS = [
    ("adopter-keeps-its-history", "replication/contradiction.c",
     "    base_give_up(core, &core->config.members, sink);\n", "",
     "goes on with what was decided against"),
    ("adopter-counts", "replication/contradiction.c",
     "    core->config.recovering = true;\n    core->recovery_known = false;\n", "    core->recovery_known = false;\n",
     "votes by a membership that it has yet to learn"),
    ("old-stops-believed", "node/receive.c",
     "    else if (row->term < log->rules.adopted_term ||\n             term_decided(row->term) <= core_term_at(log->core, core_last_lsn(log->core)))\n        return;\n", "",
     "stops again by the word of who has not heard of a decision"),
    ("decided-for-who-goes-on", "node/adoption.c",
     "    else if (core_stopped(log->core) == STOP_NONE && !core_is_lost(log->core))\n        return;\n", "",
     "carries a decision out where the log has not stopped"),
    ("decided-below-what-was-lost", "node/adoption.c",
     "    if (term_known(log) >= log->rules.adopted_term)\n        end_stops(worker, log);\n    else if (core_stopped(log->core) == STOP_NONE && !core_is_lost(log->core))\n        return;\n",
     "    if (core_term_at(log->core, durable_held_lsn(log)) >= log->rules.adopted_term)\n        end_stops(worker, log);\n",
     "takes what is left on a disk for a decision that was never carried out"),
    ("decided-term-given-twice", "node/catalog.c",
     "    rules->adopted_term = (uint64_t)term > rules->adopted_term ? (uint64_t)term : term_decided(rules->adopted_term);\n",
     "    if ((uint64_t)term <= rules->adopted_term)\n        return false;\n    rules->adopted_term = (uint64_t)term;\n",
     "takes no second decision where nobody could carry out the first"),
    ("given-up-comes-back", "replication/restore.c",
     "        base_give_up(core, &base->members, sink);\n        return true;\n", "        return true;\n",
     "has at its next start what it gave up"),
    ("lease-beyond-promises", "replication/lease.c",
     "progress->confirmed_seq >= seq && progress->promised_ns < lease_ns && peer != core->config.self",
     "progress->confirmed_seq >= seq && progress->promised_ns < lease_ns && peer == CAIRN_NODES_MAX",
     "takes its own timeout for what others have promised"),
    ("who-lags-is-a-stranger", "control/lives.c",
     "    if (agreed_lsn != lives->identity.agreed.lsn || fingerprint == lives->fingerprint)\n",
     "    if (fingerprint == lives->fingerprint)\n",
     "believes nobody who has not come to what was agreed on yet"),
    ("who-differs-is-believed", "control/lives.c",
     "    if (agreed_lsn != lives->identity.agreed.lsn || fingerprint == lives->fingerprint)\n", "    if (from != CAIRN_NODE_NONE)\n",
     "believes who says otherwise at the same lsn"),
    ("who-differs-stays-introduced", "control/lives.c",
     "    lives->peers[from].introduced = false;\n    return LIVES_DIFFERS;\n", "    return LIVES_DIFFERS;\n",
     "believes on, of who was introduced before, what contradicts what is agreed on"),
    ("bursts-unclaimed", "node/space.c",
     "    worker->claimed_bytes += size_bytes + sizeof(struct journal_block);\n", "",
     "lets a burst take what the journal keeps for others"),
    ("moves-what-stays", "node/files.c",
     "oldest >= current || stays_in(log, oldest))", "oldest >= current)",
     "writes a log's tail again and again, though its old file stays needed"),
    ("taught-is-new", "control/lives.c",
     "    identity->born = lives->asked_number == 1;\n", "    identity->born = true;\n",
     "takes whoever was taught what is agreed on for new"),
    ("promises-end-with-the-timeout", "control/lives.c",
     "identity->promised_ns = identity->agreed.now.timeout_ns;", "identity->promised_ns = 0;",
     "forgets at a restart what was promised by a longer timeout"),
    ("chain-unlooked", "control/lives.c",
     "    if (doubts & 1) {\n        identity_obey(identity, &told);\n        lapse(lives, verdict);\n"
     "        return;\n    }\n", "",
     "goes on though others know of a life that it does not"),
    ("place-unlooked", "control/identity.c",
     "        return i + 1 == identity->chain_count ? 0 : beyond(identity, known, &identity->chain[i + 1]);",
     "        return 0;",
     "believes a journal that ends before where others know it to have come"),
    ("lives-not-passed-on", "control/lives.c",
     "    hear_of_others(lives, from, hello, &verdict);\n", "    (void)hear_of_others;\n",
     "keeps to itself what it knows of others' lives"),
    ("worker-place-unlooked", "control/lives.c",
     "    if (doubts != 0) {\n        lapse_workers(lives, doubts, verdict);\n        return;\n    }\n", "",
     "believes another worker's journal that ends before where others know it to have come"),
    ("worker-forgets-nothing", "node/begin.c",
     "identity->forgotten || (identity->forgetful_workers >> worker->task.number & 1)", "identity->forgotten",
     "counts by a worker's journal that is not that of the lives before"),
    ("worker-notes-lost", "node/control.c",
     "    forward_notes(node);\n", "",
     "does not keep that a log of another worker has stopped"),
    ("no-worker-is-the-first", "node/catalog.c",
     "                   ? node->workers[json_integer_value(number)]\n                   : NULL;",
     "                   ? node->workers[json_integer_value(number)]\n                   : node->workers[0];",
     "makes a log at the first worker where the catalog names one that is not there"),
    ("worker-places-untold", "node/introduce.c",
     "        places[number] = atomic_load_explicit(&node->workers[number]->told_place, memory_order_relaxed);",
     "        places[number] = 0;",
     "does not tell how far other workers' journals are"),
    ("workers-cut-together", "node/look.c",
     "        .reached = (uint32_t)__builtin_popcount(worker->reach & voters),",
     "        .reached = (uint32_t)__builtin_popcount(worker->node->workers[0]->reach & voters),",
     "goes by whom the first worker reaches"),
    ("strangers-heard", "dataplane/codec.c",
     "    if (header.type != CODEC_HELLO && !is_introduced(codec, &header))\n        return CODEC_STRANGER;\n",
     "",
     "hears lives that have not been introduced"),
    ("forgotten-counts", "node/restore_blocks.c",
     "    return worker->forgetful || (worker->journal_was_empty && worker->node->recovering);",
     "    return worker->journal_was_empty && worker->node->recovering;",
     "counts by an old journal though it has forgotten"),
    ("forgotten-not-kept", "node/introduce.c",
     "    if (!lives->identity.forgotten || !knows_all_logs(worker) || !all_count(worker, true))\n",
     "    if (!lives->identity.forgotten)\n",
     "takes itself for recovered at once"),
    ("one-word-not-enough", "control/lives.c",
     "    if (hello->known[identity->self].alone)\n        identity->discard = true;\n    else if (granted <=",
     "    if (granted <=",
     "asks a majority where it was decided to go on from one"),
    ("decided-uncalled-for", "node/rescue.c",
     "        return enough ? CAIRN_INVALID : CAIRN_OK;", "        return CAIRN_OK;",
     "gives up others though a majority is well"),
    ("decided-and-not-led", "node/rescue.c",
     "    if (core_go_on_alone(log->core, log->rules.adopted_term == 0 ? 0 : log->rules.adopted_term + 1, now_ns,\n                         &log->sink) != CAIRN_OK)\n        return false;\n", "    (void)now_ns;\n",
     "says that it goes on and waits for a majority"),
    ("contradiction-stepped-over", "replication/append.c",
     "    if (contradiction_found(core, message, now_ns, sink))\n        return;\n", "",
     "takes part though its leader has another entry where one was committed here"),
    ("stop-untold", "node/heartbeats.c",
     "    return leads(log) || core_stopped(log->core) == STOP_LOG;", "    return leads(log);",
     "stops a log and tells nobody"),
    ("stop-ends-with-the-life", "node/logs.c",
     "        .stopped = stop_of_life_before(worker, id),\n", "",
     "forgets at a restart that a log has stopped"),
    ("other-bytes-overlooked", "node/receive.c",
     "    core_stop(log->core, STOP_REPLICA, from, row->commit_lsn, now_ns, &log->sink);\n", "    (void)now_ns;\n",
     "goes on with other bytes than its leader has"),
    ("entries-of-no-sequence", "node/receive.c",
     "        if (!entry_id_plausible(&batch->ids[i]))\n            return false;\n", "",
     "takes entries of a producer that have no sequence"),
    ("first-piece-believed", "node/receive.c",
     "        return memcmp(place, decoded->records, decoded->records_bytes) == 0;", "        return true;",
     "keeps the first fragment that comes for a place, whatever comes after it"),
    ("last-record-gives-way", "node/receive.c",
     "        if (places[i].received < least->received)", "        if (places[i].received > least->received)",
     "gives up the record that is nearly whole for a fragment of another"),
    ("stride-unlooked", "node/receive.c",
     "    key.stride = stride;\n", "    key.stride = decoded->records_bytes < decoded->fragment_total ? 8 : stride;\n",
     "puts fragments of any lengths together"),
    ("far-terms-followed", "replication/dispatch.c",
     "    if (!term_plausible(message->term, core->term))\n        return false;\n", "",
     "follows a term that nobody can have come to"),
    ("far-rows-followed", "replication/election.c",
     "    if (!term_plausible(term, core->term))\n        return false;\n", "",
     "follows it where a heartbeat says so"),
    ("numbers-unlooked", "dataplane/codec.c",
     "    return verdict == CODEC_OK && !message_plausible(&out->message) ? CODEC_FIELD : verdict;", "    return verdict;",
     "takes whatever numbers a message has"),
    ("lives-unlooked", "dataplane/codec.c",
     "life == codec_life(header->identity, header->incarnation)", "(uint32_t)life == header->identity",
     "takes frames of an introduced life for those of another number"),
    ("rows-unlooked", "dataplane/codec.c",
     "row.term > TERM_MAX || row.commit_lsn > LSN_MAX || row.trim_lsn > LSN_MAX", "row.term > TERM_MAX",
     "takes whatever lsns a heartbeat's rows have"),
    ("sums-are-enough", "dataplane/journal_scan.c",
     "    return journal_head_plausible(head) ? BLOCK_SOUND : BLOCK_IMPLAUSIBLE;", "    return BLOCK_SOUND;",
     "believes whatever a journal says under a checksum that matches"),
    ("checkpoint-unlooked", "node/checkpoint_read.c",
     " || !numbers_plausible(head, producers))", ")",
     "believes whatever a checkpoint says under a checksum that matches"),
    ("anothers-station", "dataplane/frame.c",
     "    if (memcmp(frame, head + MAC_BYTES, MAC_BYTES) != 0)\n        return FRAME_MAC;\n", "",
     "takes frames to another station"),
    ("anothers-host", "dataplane/frame.c",
     "    if (memcmp(frame + TARGET_IP_AT, head + SOURCE_IP_AT, IP_BYTES) != 0)\n        return FRAME_IP;\n", "",
     "takes packets to another address"),
    ("anothers-port", "dataplane/frame.c",
     "    if (get16(frame + TARGET_PORT_AT) != get16(head + TARGET_PORT_AT))\n        return FRAME_PORT;\n", "",
     "takes datagrams to another port"),
    ("anothers-message", "dataplane/codec.c",
     "header.to != codec->self || ", "",
     "takes messages to another node"),
    ("anothers-address", "dataplane/lcore.c",
     "    return NULL;\n}\n\nstatic bool\ndeliver", "    return port;\n}\n\nstatic bool\ndeliver",
     "takes what comes by a peer's link from another's address"),
    ("repeat-not-compared", "node/repeat.c",
     "    if (held->crc32c != record->crc32c || record_size(held) != record_size(record) ||\n        memcmp(held, record, record_size(record)) != 0)\n        return REPEAT_OTHER;\n", "",
     "acknowledges another entry by the name of one that it holds"),
    ("branch-repeat-not-compared", "node/appends.c",
     "        if (refuse_other_branch(worker, log, pending, &accepted, record))\n            return true;\n", "        (void)refuse_other_branch;\n",
     "takes another entry for a repeat of one on its branch"),
    ("own-stalls-unnoticed", "control/detector.c",
     "    if (stall_ns >= least_stall_ns(config) && stall_ns < config->ceiling_ns)\n", "    if (false)\n",
     "learns nothing of its own stalls"),
    ("word-of-stalls-unheard", "control/detector.c",
     "    known->stall_ns = beat->stall_ns;\n", "    known->stall_ns = 0;\n",
     "does not wait for a peer that says it stalls"),
    ("cuts-teach", "control/detector.c",
     "    if (known->read_ns == 0 || !known->alive)\n", "    if (known->read_ns == 0)\n",
     "takes a cut for lateness"),
    ("heard-when-read", "control/detector.c",
     "    known->heard_ns = now_ns - waited_ns(detector, now_ns);\n", "    known->heard_ns = now_ns;\n",
     "counts what waited through its own stall as heard just now"),
    ("sick-leader-stays", "node/wellness.c",
     "    if (better == 0 || core_hand_away(", "    if (better != 0 || core_hand_away(",
     "leads on with a sick disk though others are well"),
    ("hands-over-to-equals", "node/wellness.c",
     "theirs >= (slower && rank == 0 ? 1 : rank))", "theirs > (slower && rank == 0 ? 1 : rank))",
     "hands leadership to who is in the same trouble"),
    ("hang-unnoticed", "control/health.c",
     "    return for_ns > HANGS_NS && for_ns / SLOW_TIMES > pulse->usual_ns;", "    return for_ns > 100ull * HANGS_NS && for_ns / SLOW_TIMES > pulse->usual_ns;",
     "takes no write for one that hangs"),
    ("full-majority-unheard", "node/wellness.c",
     "    return ack == CAIRN_ACK_ALL || able <= (uint32_t)__builtin_popcount(voters) / 2;", "    return ack == CAIRN_ACK_ALL && able == 0;",
     "takes what a majority has no space for"),
    ("start-without-reserve", "node/restore.c",
     "    if (journal_is_tight(&worker->journal))\n", "    if (false)\n",
     "does not start without space"),
    ("lost-leader-awaited", "replication/producer_rows.c",
     " || !hears_leader(core, now_ns) ||", " || core->leader == CAIRN_NODE_NONE ||",
     "waits for a leader that is in reach, though it leads no more"),
    ("impatient-candidate", "replication/election_timer.c",
     "    wait_ns <<= doublings;\n", "    (void)doublings;\n",
     "waits no longer for votes after elections that nobody won"),
    ("same-again-replaces", "replication/restore.c",
     "    while (lsn < end_lsn && lsn <= core->last_lsn && history_term(&core->history, lsn) == run->term)\n        lsn++;\n", "",
     "takes what is written again for a replacement of all that stood behind it"),
    ("branches-take-all", "node/room.c",
     " ||\n           (log->trunk.tail - log->trunk.head <= 1 && !only_reserved_left(worker));", ";",
     "lets branches take the memory that the trunk needs to take them in"),
    ("copy-begins-anywhere", "replication/spread.c",
     "        branch->gap_place = prev_place;\n", "        branch->gap_place = 0;\n",
     "counts as held what stands before a copy begins"),
    ("clock-of-another", "dataplane/store.c",
     " &&\n           last->hlc + last->count == head->hlc &&", " &&",
     "gives an entry the clock of the one before it in the store"),
    ("clock-falls", "node/hlc.c",
     "    if (hlc <= log->trunk_hlc)\n        hlc = log->trunk_hlc + 1;\n", "",
     "a leader goes by its own clock where the trunk's is later"),
    ("trunk-clock-unread", "node/apply.c",
     "    if (log->trunk_hlc < last_hlc)\n        log->trunk_hlc = last_hlc;\n", "",
     "a follower does not take over the trunk's clock"),
    ("base-without-clock", "node/apply.c",
     "    if (log->trunk_hlc < log->digest_hlc)\n        log->trunk_hlc = log->digest_hlc;\n", "",
     "who begins anew does not take over the trunk's clock"),
    ("own-clock-is-the-time", "control/clocks.c",
     "        clocks->agreed_offset_ns = offsets[first + (most - 1) / 2];\n",
     "        clocks->agreed_offset_ns = offsets[0] * 0 + clocks->peers[clocks->config.self].offset_ns + 0 * first;\n",
     "takes this machine's clock for what the others agree on"),
    ("half-agree", "control/clocks.c",
     "most > members_count(clocks) / 2;", "most >= members_count(clocks) / 2;",
     "takes for the time what half of the clocks say"),
    ("jump-believed-at-once", "control/clocks.c",
     "    if (now_ns - clocks->jump_ns < clocks->config.bound_ns)\n        return 0;\n", "",
     "believes a jump of all clocks before it has lasted"),
    ("jump-ages", "control/clocks.c",
     "        time_ns = aged_ns;\n", "        (void)aged_ns;\n",
     "what was written before a jump is older by it"),
    ("jump-slept-through", "control/clocks.c",
     "    if (lag_ns <= clocks_lag_ns(clocks) + SET_NS)\n        return;\n", "    if (lag_ns != UINT64_MAX)\n        return;\n",
     "a node that starts does not ask what others know of jumps"),
    ("ages-by-a-wrong-clock", "control/clocks.c",
     "clocks->jump_ns != 0 || own->off_ns != 0 || news.set_ns != 0 ||", "clocks->jump_ns != 0 || news.set_ns != 0 ||",
     "a leader whose clock is off finds entries too old"),
    ("others-doubt-unheard", "control/clocks.c",
     " || news.set_ns != 0 || differ)", " || news.set_ns != 0)",
     "a leader that has started anew finds entries too old by a jump that others do not believe yet"),
    ("jump-counts-twice", "control/clocks.c",
     "peer->believes && !believes_otherwise(clocks, peer) &&", "peer->believes &&",
     "adds the lag that who has believed a jump tells to the jump that it believes itself next"),
    ("follower-ages", "node/retention.c",
     "log->rules.retain_age_ns != 0 && core_role(log->core) == ROLE_LEADER)", "log->rules.retain_age_ns != 0)",
     "a follower decides by itself what is too old"),
    ("ages-by-own-clock", "node/retention.c",
     "clocks_old_before_ns(&worker->clocks, log->rules.retain_age_ns, now_ns);",
     "now_ns + (uint64_t)worker->clocks.peers[worker->self].offset_ns - log->rules.retain_age_ns;",
     "a leader finds by its machine's clock what is too old"),
    ("age-untold", "node/heartbeats.c",
     "            .aged_lsn = log->row_aged_lsn,\n", "",
     "a leader does not tell what is too old"),
    ("doubtful-unmarked", "node/hlc.c",
     "clocks_is_ahead(&worker->clocks, last_hlc, now_ns) ? BLOCK_CLOCK_DOUBTFUL : 0;", "0;\n    (void)now_ns;",
     "does not mark what a clock beyond the bound wrote"),
    ("doubtful-advances", "node/hlc.c",
     "    if (hlc > log->hlc && !clocks_is_ahead(&worker->clocks, hlc, worker->task.now_ns))", "    if (hlc > log->hlc)",
     "an entry's clock beyond the bound advances the hybrid clock"),
    ("told-clock-advances", "node/hlc.c",
     " && !clocks_is_ahead(&worker->clocks, heartbeat->wall_ns, now_ns))", ")",
     "a peer's clock beyond the bound advances the hybrid clock"),
    ("doubtful-wins", "client/view.c",
     "    int result = order(b->clock_doubtful, a->clock_doubtful);\n", "    int result = 0;\n",
     "the last write wins by a doubtful clock"),
    ("session-without-branch", "node/readers.c",
     "        if (!core_branch_holds(core, origin, session->branches[i].incarnation, session->branches[i].seq))\n            return;\n",
     "",
     "serves a session that wrote on a branch which is not here"),
    ("copy-with-a-hole", "replication/spread.c",
     "    reply.yes = follows(core, message) && keep_copy(core, message, sink);",
     "    (void)follows;\n    reply.yes = keep_copy(core, message, sink);",
     "takes a batch of another's branch whatever is missing before it"),
    ("holed-branch-first", "replication/hand_off.c",
     "(origin == core->config.self && !branch_is_holed(core))", "origin == core->config.self",
     "hands off its own branch past what is damaged of it, whoever may have a copy"),
    ("copy-behind-damage", "replication/restore.c",
     "    if (is_missing(core, run->origin, prev_place))\n        return true;\n", "",
     "takes what its disk has of a copy behind what is damaged of it"),
    ("copy-in-memory", "node/held.c",
     "    return core_branches_held(log->core) | (cairn_node_set)1 << log->self;", "    return (cairn_node_set)1 << log->self;",
     "keeps copies of branches in memory alone"),
    ("copy-never-handed", "replication/hand_off.c",
     "        branch->due = true;\n", "        branch->due = false;\n",
     "holds copies of branches and hands none off"),
    ("own-vote-not-durable", "replication/election.c",
     "    core->own_vote_pending = core->config.durable;\n", "    core->own_vote_pending = false;\n",
     "counts its own vote before it is on its disk"),
    ("empty-file-forgets", "node/restore.c",
     "restoring.scan.empty && (restoring.scan.count == 0 || restoring.scan.doubtful);", "restoring.scan.count == 0;",
     "a life that wrote nothing makes the next forget that what was before it is lost"),
    ("late-completion", "dataplane/journal.c",
     "                write->items[j].lsn = lsn;", "                continue;",
     "the end of a write counts for what stands in its place by then"),
    ("former-term-untold", "replication/election.c",
     "        tell_term(core, leader, now_ns, sink);\n", "        (void)tell_term;\n",
     "says nothing to the leader of a term that is over"),
    ("repeat-not-held", "node/appends.c",
     "        if (accepted.seq == 0 && !place_repeated(worker, worker->attachments[pending->attachment], log, &id, &accepted))\n            return false;\n", "        (void)place_repeated;\n",
     "acknowledges a repeat on a branch before what it repeats is held"),
    ("promise-forgotten", "replication/role.c",
     "    return is_as_far(term, last_lsn, last_term(core), core->last_lsn) &&\n           (core->promised_lsn == 0 || is_as_far(term, last_lsn, core->promised_term, core->promised_lsn));",
     "    return is_as_far(term, last_lsn, last_term(core), core->last_lsn);",
     "votes for who lacks what its damaged disk once held"),
    ("vote-twice", "replication/election.c",
     "(core->voted_for == CAIRN_NODE_NONE || core->voted_for == message->from) &&", "",
     "votes for every candidate of a term"),
    ("vote-for-shorter-log", "replication/role.c",
     "    return is_as_far(term, last_lsn, last_term(core), core->last_lsn) &&\n",
     "    return term + 1 > last_term(core) &&\n",
     "votes for who lacks what it holds"),
    ("prevote-disloyal", "replication/election.c",
     "message->term > core->term && enough && !alive;", "message->term > core->term && enough;",
     "grants pre-votes while it hears the leader"),
    ("prevote-stale-grant", "replication/election.c",
     "    if (core->role != ROLE_PRECANDIDATE || !message->yes || message->term != core->term + 1 ||\n        message->vote.round != core->prevote_round)",
     "    if (core->role != ROLE_PRECANDIDATE || !message->yes)",
     "counts pre-votes of earlier rounds"),
    ("no-noop", "replication/election.c",
     "    store_control(core, alone == NULL ? ENTRY_NOOP : ENTRY_CONFIG, core->config.self, core->config.incarnation,\n                  alone == NULL ? 0 : members_encode(alone), sink);\n", "    (void)alone;\n",
     "a new leader appends no entry of its own term"),
    ("no-check-quorum", "replication/election.c",
     "if (core->role == ROLE_LEADER && had_quorum && !has_quorum(core, core->reach))",
     "if (false && had_quorum)",
     "a leader that loses its majority from sight leads on"),
    ("match-of-a-former-term", "replication/role.c",
     "    core->voted_for = voted_for;\n    core->match_lsn = core->commit_lsn;\n",
     "    core->voted_for = voted_for;\n",
     "takes what matched a former leader for the next one's"),
    ("quorum-of-half", "replication/members.c",
     "    return is_majority(set, voters_of(core));",
     "    return set_size(set & voters_of(core)) >= set_size(voters_of(core)) / 2;",
     "half of the voters are a majority"),
    ("commit-old-term", "replication/commit.c",
     "if (lsn > core->commit_lsn && history_term(&core->history, lsn) == core->term) {",
     "if (lsn > core->commit_lsn) {",
     "commits entries of earlier terms by counting (figure 8)"),
    ("commit-by-one-less", "replication/commit.c",
     "    return held[count / 2];", "    return held[(count - 1) / 2 - (count > 2 ? 1 : 0)];",
     "commits what one node too few holds"),
    ("count-recovering", "replication/commit.c",
     ": core->progress[node].recovering ? 0\n", ": false ? 0\n",
     "counts acknowledgements of a node that has lost its memory"),
    ("all-is-majority", "replication/commit.c",
     "*all_lsn = held[count - 1];", "*all_lsn = held[count / 2];",
     "says that all hold what a majority holds"),
    ("accept-stale-append", "replication/append.c",
     "    if (message->term < core->term) {\n        refuse_append",
     "    if (message->term + 1 < core->term) {\n        refuse_append",
     "takes appends of a former term"),
    ("no-previous-check", "replication/append.c",
     "           history_term(&core->history, message->append.prev_lsn) == message->append.prev_term;",
     "           message->append.prev_term > 0;",
     "does not compare the entry before the new ones"),
    ("no-truncation", "replication/append.c",
     "if (lsn <= core->commit_lsn || history_term(&core->history, lsn) == run->term)",
     "if (lsn <= core->commit_lsn || history_term(&core->history, lsn) > 0)",
     "keeps entries that conflict with the leader's"),
    ("commit-unmatched", "replication/append.c",
     "    uint64_t lsn = core->told_commit_lsn < core->match_lsn ? core->told_commit_lsn : core->match_lsn;\n",
     "    uint64_t lsn = core->told_commit_lsn < core->last_lsn ? core->told_commit_lsn : core->last_lsn;\n    core->match_lsn = lsn > core->match_lsn ? lsn : core->match_lsn;\n",
     "commits up to what it was told, whatever it holds there"),
    ("acknowledge-unmatched", "replication/append.c",
     "    reply.append_reply.match_lsn = core->match_lsn < core->held_lsn ? core->match_lsn : core->held_lsn;",
     "    reply.append_reply.match_lsn = core->held_lsn;",
     "acknowledges what it holds, not what is the leader's"),
    ("window-without-end", "replication/trunk.c",
     "           core->last_lsn - core->commit_lsn < core->config.window_entries - 2 && !runs_full(&core->runs) &&\n",
     "           !runs_full(&core->runs) &&\n",
     "a leader that cannot commit takes appends without bound"),
    ("read-unconfirmed", "replication/reads.c",
     "        if (read->seq <= seq)\n", "        if (read->seq <= seq + 1000000)\n",
     "serves linearizable reads before a majority has confirmed"),
    ("read-commit-unknown", "replication/reads.c",
     "    return core->commit_lsn >= core->term_first_lsn;", "    return true;",
     "a new leader serves reads before it knows what is committed"),
    ("lease-too-long", "replication/lease.c",
     "core->confirm_began_ns[seq % ROUNDS_KEPT] + lease_ns - lease_ns / LEASE_DRIFT_SHARE;",
     "core->confirm_began_ns[seq % ROUNDS_KEPT] + 20 * lease_ns;",
     "believes in its lease longer than it was promised"),
    ("lease-after-transfer", "replication/transfer.c",
     "    core->lease_over = true;\n", "",
     "keeps its lease though it told another to campaign"),
    ("promise-by-the-polls-clock", "node/receive.c",
     "    if (message->type == MESSAGE_READ_INDEX || message->type == MESSAGE_CONFIRM)\n        now_ns = node_now_ns(worker->node);\n", "",
     "promises a lease from before a pause in which it was asked for"),
    ("answer-to-the-last-question", "node/readers.c",
     "    round_ns = reader->round_ns;", "    round_ns = reader->asked_ns;",
     "takes an answer for as fresh as the last question, whichever it answers"),
    ("answer-of-a-former-life", "node/readers.c",
     "(uint64_t)worker->codec.incarnation << (GENERATION_BITS + PLACE_BITS) | generation", "generation",
     "takes an answer to what its former life asked for one to what it asks now"),
    ("grant-not-waited-for", "replication/commit.c",
     "    lsn = lsn < limit ? lsn : limit;\n", "",
     "commits what a follower that may read alone does not hold"),
    ("grant-to-who-lacks", "replication/grants.c",
     " || progress->match_lsn < core->commit_lsn)", ")",
     "lets a follower read alone that lacks what is committed"),
    ("grant-too-long", "replication/grants.c",
     "length_ns - length_ns / LEASE_DRIFT_SHARE;", "2 * length_ns;",
     "lets a follower read alone for longer than the leader's lease runs"),
    ("grant-after-transfer", "replication/transfer.c",
     " || grants_run(core, now_ns))\n        return;\n    core->transfer_sent", ")\n        return;\n    core->transfer_sent",
     "hands leadership over while followers may read by its grants"),
    ("transfer-without-end", "replication/transfer.c",
     "    if (now_ns >= core->transfer_until_ns) {\n        core->transfer_target = CAIRN_NODE_NONE;\n        return;\n    }\n", "",
     "waits for ever for a target that died"),
    ("restart-as-new-born", "replication/core.c",
     "    core->config = *config;\n", "    core->config = *config;\n    core->config.recovering = false;\n",
     "votes and counts though it has lost its memory"),
    ("recovered-too-early", "replication/recovery.c",
     "    if (!core->recovery_known || core->term < core->recovery_term || core->held_lsn < core->recovery_lsn ||\n        core->match_lsn < core->recovery_lsn)\n        return;",
     "    if (!core->recovery_known)\n        return;",
     "counts again before it holds what it may have acknowledged"),
    ("change-before-noop", "replication/membership.c",
     "    if (core->changes_count > 0 || core->commit_lsn < core->term_first_lsn ||\n        core->transfer_target",
     "    if (core->changes_count > 0 ||\n        core->transfer_target",
     "changes the membership before an entry of its own term is committed"),
    ("change-not-rolled-back", "replication/members.c",
     "    while (core->changes_count > 0 && core->changes[core->changes_count - 1].lsn >= from_lsn)\n        core->changes_count--;",
     "    (void)from_lsn;",
     "keeps a membership whose entry was cut off"),
    ("learner-campaigns", "replication/election.c",
     "now_ns >= core->promise_until_ns && core_may_lead(core) &&", "now_ns >= core->promise_until_ns &&",
     "a learner, or a removed node, campaigns"),
    ("removed-leads-on", "replication/election.c",
     "    if (core->changes_count > 0 || is_voter(core, core->config.self) || grants_run(core, now_ns))\n        return;",
     "    if (core->config.self < CAIRN_NODES_MAX)\n        return;",
     "a leader that was removed leads on"),
    ("removed-gives-up", "replication/members.c",
     " || (core->committed_members.voters & node_bit(core->config.self)) != 0;", ";",
     "does not campaign though its removal is not agreed on"),
    ("promote-empty", "replication/membership.c",
     "    if (!caught_up(core, next->voters & ~now.voters))\n        return CAIRN_BEHIND;\n", "",
     "makes a voter of a node that holds nothing"),
    ("branch-dropped", "replication/branch.c",
     "            keep_run(core, run, up_to_lsn, sink);\n",
     "            (void)keep_run;\n",
     "a deposed leader drops what it had acknowledged alone"),
    ("branch-trimmed-early", "replication/branch.c",
     "    mark = marks_get(&core->committed_marks, origin, branch->incarnation);\n",
     "    mark = marks_get(&core->marks, origin, branch->incarnation);\n",
     "trims the branch by what is not committed yet"),
    ("hand-off-twice", "replication/hand_off.c",
     "        if (seq <= mark)\n            continue;\n", "",
     "takes a batch again that it holds already"),
    ("hand-off-gap", "replication/hand_off.c",
     "    if (mark >= message->hand_off.prev_seq)\n", "    if (mark + 1000000 >= message->hand_off.prev_seq)\n",
     "takes a batch though one before it is missing"),
    ("hand-off-repeats", "replication/hand_off.c",
     "    return producers_holds(&core->producers, id);", "    return false;",
     "takes by a branch what the producer has repeated elsewhere"),
    ("hand-off-without-mark", "replication/hand_off.c",
     "        store_control(core, ENTRY_MARK, batch->origin, batch->incarnation, mark, sink);\n", "        (void)repeated_seq;\n",
     "forgets that it stepped over a repeat"),
    ("own-branch-last", "replication/append.c",
     "    if (!branch_adopted(core) || !window_open(core))", "    if (!window_open(core))",
     "a new leader takes new entries before its own branch"),
    ("repeat-appended", "replication/append.c",
     "    if (error == CAIRN_AGAIN)\n        return repeated(known_lsn, core, out);\n",
     "    if (error == CAIRN_AGAIN)\n        error = CAIRN_OK;\n",
     "appends a producer's repeat a second time"),
    ("producers-not-undone", "replication/trunk.c",
     "    producers_truncate(&core->producers, from_lsn);\n", "",
     "takes a producer's entry for held though it was cut off"),
    ("run-cut-off-whole", "replication/producers.c",
     "uint64_t kept = from_lsn > undo->lsn ? from_lsn - undo->lsn : 0;",
     "uint64_t kept = from_lsn > undo->lsn + undo->more ? from_lsn - undo->lsn : 0;",
     "forgets of a producer's run what stands before the cut, too"),
    ("run-cut-off-nowhere", "replication/producers.c",
     "        if (kept > undo->more)\n            return;\n", "        if (kept > 0)\n            return;\n",
     "keeps of a producer's run what stands behind the cut, too"),
    ("evicted-is-new", "replication/producers.c",
     "        if (id->producer <= producers->evicted_floor)\n            return CAIRN_PRODUCER_EVICTED;\n", "",
     "takes a forgotten producer's repeat for a new one's first"),
    ("not-fenced", "replication/producers.c",
     "    if (id->epoch < producer->epoch)\n        return CAIRN_FENCED;\n", "",
     "lets a producer's former holder go on"),
    ("base-without-floor", "replication/base.c",
     "    core->producers.evicted_floor = base->producer_floor;\n", "",
     "a follower that begins anew takes old producers for new"),
    ("producers-not-asked", "replication/producer_rows.c",
     "    core->producers_partial = true;", "    core->producers_partial = false;",
     "who began anew takes what its producers wrote before for new"),
    ("base-alone-on-disk", "node/writes.c",
     "    log->durable->producers_due = true;\n", "",
     "what producers wrote before the trim point is forgotten at a restart"),
    ("never-borrow", "replication/lend.c",
     "    if (core->ahead == CAIRN_NODE_NONE)\n        return;", "    if (core->ahead != CAIRN_NODE_NONE || true)\n        return;",
     "the only node with a majority does not catch up"),
    ("mode-stays", "control/mode.c",
     "    bool enough = inputs->reached >= mode_needs(inputs);", "    bool enough = inputs->reached >= 1;",
     "a cut-off node goes on as if nothing had happened"),
    ("never-suspect", "control/detector.c",
     "        if (peer == detector->config.self || now_ns - known->heard_ns < known->timeout_ns)\n            continue;",
     "        if (peer == detector->config.self || now_ns - known->heard_ns < 50 * known->timeout_ns)\n            continue;",
     "notices a silence fifty times too late"),
    # What is looked at beside entries and reads: levels, denied reads, modes back, learners, recovery, promises, trims.
    ("asked-all-relaxed", "node/pending.c",
     "        if (pending.asked == CAIRN_ACK_POLICY && pending.lsn", "        if (pending.lsn",
     "answers who asked for all with a majority, once a member is cut off"),
    ("policy-all-is-majority", "control/mode.c",
     "    return CAIRN_ACK_ALL;\n", "    return CAIRN_ACK_MAJORITY;\n",
     "gives a majority where the policy is all"),
    ("falls-while-whole", "control/mode.c",
     "(inputs->falls_to_cp && inputs->reached < inputs->nodes))", "inputs->falls_to_cp)",
     "gives a majority where all are in reach, since it might when some are cut off"),
    ("repeat-of-all", "node/pending.c",
     "    return ack == CAIRN_ACK_ALL ? core_all_lsn(log->core) : core_commit_lsn(log->core);",
     "    (void)ack;\n    return core_commit_lsn(log->core);",
     "says of a repeat that all hold what a majority holds"),
    ("branch-says-majority", "node/answers.c",
     "    answer.ack = CAIRN_ACK_LOCAL;\n", "    answer.ack = CAIRN_ACK_MAJORITY;\n",
     "says that a majority holds what is on its branch"),
    ("denied-read-served", "control/mode.c",
     "    if (mode == CAIRN_MODE_DENIED && (deny & CAIRN_DENY_READS))\n        return CAIRN_DENIED;\n", "    (void)deny;\n",
     "serves stale reads where they are to be denied"),
    ("all-reads-denied", "control/mode.c",
     "mode == CAIRN_MODE_DENIED && (deny & CAIRN_DENY_READS)", "mode == CAIRN_MODE_DENIED && deny != 0",
     "denies stale reads where writes alone are to be denied"),
    ("merging-accepts-alone", "control/mode.c",
     "        if (!enough)\n            return inputs->recovering", "        if (!enough || inputs->branch_pending)\n            return inputs->recovering",
     "goes on accepting alone until its branch is empty"),
    ("never-held-back", "control/detector.c",
     "known->beats < detector->config.rejoin_beats || now_ns - known->back_ns < known->hold_ns)",
     "known->beats < detector->config.rejoin_beats)",
     "counts whoever flaps as soon as it is heard"),
    ("held-back-for-ever", "control/detector.c",
     " && known->hold_ns < config->hold_max_ns; doublings++)\n        known->hold_ns = doublings == 0 ? 2 * config->timeout_ns : 2 * known->hold_ns;\n    if (known->hold_ns > config->hold_max_ns)\n        known->hold_ns = config->hold_max_ns;\n",
     " && doublings < 30; doublings++)\n        known->hold_ns = doublings == 0 ? 2 * config->timeout_ns : 2 * known->hold_ns;\n",
     "holds a link that flaps back for longer and longer"),
    ("flaps-remembered", "control/detector.c",
     "    if (now_ns - known->alive_ns >= 2 * config->hold_max_ns)\n        known->flaps = 0;\n", "    (void)now_ns;\n",
     "holds back whoever flapped long ago"),
    ("learner-in-reach", "replication/members.c",
     "    return is_majority(set, voters_of(core));",
     "    return set_size(set & (voters_of(core) | core_members(core)->learners)) > set_size(voters_of(core)) / 2;",
     "leads on with a learner in reach, and no majority"),
    ("learners-count", "replication/commit.c",
     "    cairn_node_set voters = voters_of(core);\n    uint64_t held", "    cairn_node_set voters = voters_of(core) | core_members(core)->learners;\n    uint64_t held",
     "counts what learners hold, and waits for them"),
    ("own-vote-forgotten", "replication/election.c",
     "    enter_term(core, core->term + 1, core->config.self, sink);", "    enter_term(core, core->term + 1, CAIRN_NODE_NONE, sink);",
     "campaigns, and votes for another in that term"),
    ("vote-at-once-after-restart", "replication/core.c",
     "    if (config->incarnation > 1)\n        core->promise_until_ns", "    if (config->incarnation == 0)\n        core->promise_until_ns",
     "forgets at a restart that it may have promised a lease"),
    ("recovering-answers", "replication/recovery.c",
     "    if (core->config.recovering)\n        return;\n    reply = core_message(core, MESSAGE_RECOVER_REPLY", "    reply = core_message(core, MESSAGE_RECOVER_REPLY",
     "tells others that recover what it holds, while it recovers itself"),
    ("recovery-by-old-answers", "replication/recovery.c",
     " || message->recover.nonce != core->recovery_nonce)", ")",
     "recovers by answers to what its former life asked"),
    ("recovery-without-leader", "replication/recovery.c",
     "    if (best == CAIRN_NODE_NONE || !(core->recovery_leaders & node_bit(best)))", "    if (best == CAIRN_NODE_NONE)",
     "recovers by whoever has the highest term, whether it leads or not"),
    ("recovery-of-fewer", "replication/recovery.c",
     "    return is_majority(core->recovery_replies, voters) ? best : CAIRN_NODE_NONE;",
     "    return is_majority(core->recovery_replies | node_bit(core->config.self), voters) ? best : CAIRN_NODE_NONE;",
     "counts itself among those who tell it what it held"),
    ("borrow-from-anyone", "replication/lend.c",
     "    if (!up_to_date(core, message->append.last_term, message->append.last_lsn) || !append_fits(core, message))",
     "    if (!append_fits(core, message))",
     "borrows a trunk that is not as far as its own"),
    ("trim-without-asking", "replication/core.c",
     "        if (progress->match_lsn < limit)\n            limit = progress->match_lsn;\n",
     "        if (progress->match_lsn > limit)\n            limit = progress->match_lsn;\n",
     "trims what a member in reach still needs"),
    ("read-on-after-cut", "node/readers.c",
     "reader->here && reader->limit >= from_lsn)", "!reader->used && reader->limit >= from_lsn)",
     "a read under a grant waits for what was cut off"),
]


def sh(args, cwd, timeout=None):
    return subprocess.run(args, cwd=cwd, timeout=timeout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def prepare(place):
    tree = os.path.join(place, "tree")
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    for name in names:
        source = os.path.join(ROOT, name)
        if os.path.isfile(source):
            os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
            shutil.copy2(source, os.path.join(tree, name))
    made = sh(["meson", "setup", "build", "--buildtype=debugoptimized", "-Db_ndebug=false"], tree)
    if made.returncode != 0:
        sys.exit("mutants: the copy does not configure:\n" + made.stdout[-2000:])
    return tree


def build(tree):
    return sh(["ninja", "-C", "build", "cli/cairn"], tree)


def play(tree, seconds):
    """How the simulator caught it, or None."""
    cairn = os.path.join(tree, "build/cli/cairn")
    began = time.monotonic()
    for args in (["--scenario", "all"], ["--runs", "100000", "--messages", "40000"]):
        left = seconds - (time.monotonic() - began)
        try:
            done = sh([cairn, "sim"] + args, tree, timeout=max(left, 1))
        except subprocess.TimeoutExpired:
            continue
        if done.returncode != 0:
            reasons = [line for line in done.stdout.splitlines()
                       if line.startswith("cairn: s") or "Assertion" in line or "VIOLATION: " in line]
            return (reasons or ["exit status %d" % done.returncode])[0], time.monotonic() - began
    return None


def short(reason):
    for before in ("VIOLATION: ", "cairn: "):
        if before in reason:
            reason = reason.split(before, 1)[1]
    if "Assertion" in reason:
        reason = "assertion: " + reason.split("Assertion", 1)[1].strip()
    return reason.replace("|", "\\|")[:110]


def check():
    stale = 0
    for name, path, old, new, _ in MUTANTS:
        with open(os.path.join(ROOT, path)) as source:
            count = source.read().count(old)
        if count != 1 or old == new:
            stale += 1
            print("mutants: %s: what it changes stands %d times in %s" % (name, count, path))
    print("mutants: %d of %d apply" % (len(MUTANTS) - stale, len(MUTANTS)))
    return 1 if stale else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", help="write the rows of docs/mutants.md here")
    parser.add_argument("--check", action="store_true", help="does what each row changes stand there, once?")
    options = parser.parse_args()
    if options.check:
        return check()
    if options.list:
        for name, path, _, _, wrong in MUTANTS:
            print("%-24s %-28s %s" % (name, path, wrong))
        return 0
    chosen = [row for row in MUTANTS if not options.names or row[0] in options.names]
    place = tempfile.mkdtemp(prefix="cairn-mutants-")
    killed, survived, rows = 0, [], []
    try:
        tree = prepare(place)
        made = build(tree)
        if made.returncode != 0:
            sys.exit("mutants: the copy does not build:\n" + made.stdout[-2000:])
        caught = play(tree, SECONDS)
        if caught is not None:
            sys.exit("mutants: what ships is caught itself: " + caught[0])
        print("%-24s nothing found in %d s" % ("(as shipped)", SECONDS), flush=True)
        for name, path, old, new, wrong in chosen:
            file = os.path.join(tree, path)
            with open(file) as source:
                text = source.read()
            if text.count(old) != 1:
                sys.exit("mutants: %s: what it changes stands %d times in %s" % (name, text.count(old), path))
            with open(file, "w") as target:
                target.write(text.replace(old, new))
            made = build(tree)
            if made.returncode != 0:
                sys.exit("mutants: %s does not build:\n%s" % (name, made.stdout[-2000:]))
            caught = play(tree, SECONDS)
            with open(file, "w") as target:
                target.write(text)
            if caught is None:
                survived.append(name)
                print("%-24s SURVIVED (%s)" % (name, wrong), flush=True)
            else:
                killed += 1
                print("%-24s killed in %4.1f s: %s" % (name, caught[1], short(caught[0])), flush=True)
                rows.append("| `%s` | %s | `%s` | %.1f | %s |" % (name, wrong, path, caught[1], short(caught[0])))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if options.table:
        with open(options.table, "w") as table:
            table.write("\n".join(rows) + "\n")
    print("%d killed, %d survived" % (killed, len(survived)))
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
