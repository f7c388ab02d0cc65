//! Each story on each ground.

/// Makes a test of each story on each ground.
macro_rules! on_both {
    ($($story:ident)*) => {
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $story() {
                    super::super::stories::$story(crate::ground::Ground::embedded()).await;
                }
            )*
        }

        mod cluster {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $story() {
                    super::super::stories::$story(crate::ground::Ground::cluster(super::super::ground::DUTIES).await).await;
                }
            )*
        }
    };
}

on_both! {
    r3_1_cron_and_intervals_fire_in_their_zone_and_follow_their_file
    r3_2_a_firing_goes_by_scheduled_tasks_to_its_agent_with_its_trace
    r3_3_4_starts_and_results_are_recorded
    r3_5_what_takes_too_long_is_cancelled_and_logged
    r3_6_firings_that_were_missed_follow_their_policy
    r3_6_firings_that_overlap_follow_their_policy
    r3_6_a_schedule_is_paused_resumed_and_triggered_by_http_and_command_line
}
