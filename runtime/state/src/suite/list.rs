//! The list of behaviours, in the order of the port.

use std::future::Future;

use super::Stage;

/// Runs every behaviour on a store of its own, one after the other.
pub async fn run_all<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Stage>,
{
    crate::state_suite! { @list all make }
}

/// Makes a `#[tokio::test]` of each behaviour. Give it the path of an `async fn() -> Stage` that makes a fresh store.
#[macro_export]
macro_rules! state_suite {
    ($make:path) => {
        $crate::state_suite! { @list tests $make }
    };
    (@tests $make:path; $($behaviour:ident)*) => {
        $(
            #[tokio::test]
            async fn $behaviour() {
                $crate::suite::$behaviour($make().await).await;
            }
        )*
    };
    (@all $make:path; $($behaviour:ident)*) => {
        $( $crate::suite::$behaviour($make().await).await; )*
    };
    (@list $what:ident $make:path) => {
        $crate::state_suite! { @$what $make;
            a_submission_is_in_the_outbox_and_shown_as_queued
            a_repeated_submission_returns_the_first_at_every_station
            a_key_that_was_used_for_another_request_is_refused
            one_event_under_two_topics_goes_out_under_both
            a_repeated_fact_is_recognised_in_the_inbox
            rows_come_oldest_first_and_to_one_relay
            a_dead_relays_rows_come_free
            a_row_that_nobody_hands_over_comes_free_soon
            a_store_that_was_away_hands_leased_rows_to_nobody
            events_of_a_topic_keep_their_order_when_some_fail
            what_is_written_behind_others_goes_by_its_writers_relay
            a_row_that_failed_is_due_again_after_its_wait
            replies_to_one_address_keep_their_order
            pending_rows_of_a_workflow_are_shown
            a_published_command_stays_until_its_agent_has_it
            a_published_fact_goes
            a_command_that_can_never_go_ends_as_dead
            a_reply_that_can_never_go_becomes_a_letter_without_its_address
            an_outcome_of_a_row_that_is_gone_changes_nothing
            an_event_reaches_each_agents_inbox_once
            an_arrival_can_be_claimed_at_once
            the_backlog_counts_what_waits_and_says_when
            higher_priority_comes_first_then_older
            a_claim_takes_no_more_than_its_limit_and_no_other_agents
            ordered_claims_wait_for_the_earlier_one
            an_ordered_claim_takes_over_a_dead_nodes_execution_first
            two_nodes_never_claim_the_same_execution
            what_waits_in_order_is_left_to_the_node_that_the_queue_leads_to
            a_dead_nodes_executions_are_claimed_as_crashed
            a_claim_takes_what_was_lost_only_if_asked_to
            a_restarted_node_takes_its_own_back_at_once
            a_released_execution_goes_on_in_the_same_attempt
            a_lost_claim_is_fenced_in_every_write
            a_finished_execution_is_fenced
            a_cancelled_execution_is_fenced_and_shown
            a_cancelled_submission_never_runs
            who_asked_in_slack_is_told_of_a_cancel
            a_resume_finds_its_journal_and_counts_what_it_saves
            settle_and_intend_are_one_commit
            an_intention_is_repeated_but_never_changed
            a_step_is_settled_once
            a_step_of_another_attempt_is_refused
            what_is_set_aside_counts_until_it_is_spent
            an_end_sets_free_what_was_set_aside
            a_deleted_execution_holds_nothing
            a_zombie_sets_nothing_aside
            many_at_once_get_no_more_than_there_is
            a_node_is_told_what_it_spent
            writes_take_effect_in_the_order_of_their_first_poll
            an_unknown_outcome_is_kept_and_not_replayed
            spending_is_counted_as_it_happens
            a_success_shows_its_answer_and_its_price
            a_retry_waits_and_begins_afresh
            an_end_without_success_becomes_a_dead_letter_and_is_told_of
            a_finish_is_all_or_nothing
            a_finish_sends_what_it_leaves_behind
            what_a_finish_leases_is_no_other_relays
            checkpoints_follow_each_other
            a_checkpoint_replaces_only_the_version_that_it_knows
            what_is_kept_in_mind_goes_with_the_finish
            a_fenced_finish_keeps_nothing_in_mind
            no_agent_reaches_anothers_state
            versions_of_a_definition_are_kept
            conversations_are_listed_and_read_in_pieces
            a_state_is_set_anew_as_a_whole_and_its_version_rises
            a_state_is_set_only_over_the_version_that_is_known
            a_state_is_not_set_under_work_that_began_with_it
            what_an_agent_keeps_in_mind_is_set_anew
            executions_are_listed_newest_first_in_pages
            executions_are_found_by_agent_status_and_trace
            payloads_over_a_megabyte_come_back_as_they_were
            what_does_not_exist_is_not_found
            a_letter_from_the_bus_is_written_once
            a_command_that_died_on_the_bus_ends_as_dead
            a_replayed_letter_is_a_new_event_to_its_agent
            a_letter_is_replayed_once_and_only_if_it_is_an_event
            letters_are_listed_and_purged
            who_has_work_to_claim_is_known_in_one_question
            a_node_that_leaves_gives_back_what_it_holds
            leases_are_listed_with_who_is_alive
            an_agent_is_held_back_until_it_is_let_go
            a_due_time_fires_once
            many_nodes_fire_a_due_time_once
            a_time_that_was_fired_before_is_passed_over
            a_firing_leaves_nothing_in_the_outbox_once_its_agent_has_it
            a_firing_is_skipped_while_the_last_one_is_at_work
            a_firing_waits_for_its_turn
            a_schedule_that_is_over_lets_nothing_wait
            what_waits_is_bounded_and_what_is_missed_is_written_down
            what_is_at_work_is_bounded
            a_schedule_is_held_until_it_is_let_go
            old_firings_are_deleted
            what_ended_long_ago_is_deleted
            a_duplicate_of_what_was_deleted_is_still_one
            what_is_waited_for_is_not_deleted
            each_agents_newest_version_is_kept
            spending_is_remembered_for_a_year
            a_sweep_takes_no_more_than_its_limit
            an_execution_waits_for_another_agents
            each_answer_makes_the_caller_due
            a_call_made_again_keeps_what_it_has
            a_call_ends_with_whatever_became_of_the_other
            what_nobody_waits_for_is_stale
            a_question_and_a_call_stand_side_by_side
            an_answer_counts_while_the_execution_is_at_work
            a_call_without_a_step_is_refused
            an_execution_waits_and_goes_on_with_the_answer
            a_step_whose_outcome_is_unknown_asks_too
            the_first_answer_counts
            a_question_that_nobody_answered_goes_on_to_others
            it_goes_on_when_all_its_questions_are_answered
            questions_and_answers_are_told
            a_waiting_execution_can_be_cancelled
            a_question_knows_where_it_is_shown
            what_it_is_too_late_for_is_found
            questions_are_listed
            only_a_step_under_way_asks
            a_question_keeps_the_order
            questions_are_deleted_with_their_execution
            a_plan_run_is_written_and_shown
            plan_runs_are_listed
            a_plan_run_is_written_with_the_wait_and_with_the_end
            a_plan_run_ends_with_its_execution
            a_stuck_plan_run_is_told_of_once
            a_plan_run_is_deleted_with_its_execution
            the_store_says_that_it_can_write
        }
    };
}
