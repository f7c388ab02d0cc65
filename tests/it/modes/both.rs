//! Each story on each ground.

/// Makes a test of each story on each ground.
macro_rules! on_both {
    ($($part:ident: $($story:ident)*;)*) => {
        mod embedded {
            $($(
                #[tokio::test(flavor = "multi_thread")]
                async fn $story() {
                    super::super::$part::$story(crate::ground::Ground::embedded()).await;
                }
            )*)*
        }

        mod cluster {
            $($(
                #[tokio::test(flavor = "multi_thread")]
                async fn $story() {
                    super::super::$part::$story(crate::ground::Ground::cluster(super::super::ground::DUTIES).await).await;
                }
            )*)*
        }
    };
}

on_both! {
    autonomous:
        r5_1_each_execution_has_its_own_context_and_nobody_sees_anothers_state
        r5_2_an_agent_sees_its_own_tools_only_with_their_credentials
        r5_3_results_are_found_by_agent_and_execution
        r5_4_two_retries_with_a_fresh_context_then_a_dead_letter_an_event_and_a_log_line
        r5_5_work_is_spread_over_instances_and_nodes_within_their_bounds;
    continuous:
        r6_1_events_are_handled_in_order_one_at_a_time_at_one_node_and_another_takes_over
        r6_2_3_state_is_loaded_before_and_saved_with_the_result_of_each_event
        r6_4_after_a_crash_it_goes_on_at_the_unfinished_step
        r6_5_an_idle_agent_leaves_memory_and_the_next_event_brings_it_back
        r6_6_a_long_conversation_is_kept_within_its_policy;
    states:
        an_operator_shows_resets_exports_and_imports_a_state;
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_5_what_is_urgent_comes_first_on_one_machine() {
    super::autonomous::r5_5_what_is_urgent_comes_first(crate::ground::Ground::embedded()).await;
}
