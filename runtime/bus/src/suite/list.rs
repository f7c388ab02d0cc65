//! Every behaviour by name.

/// One test for each behaviour, against what the given `async fn() -> impl Stage` makes.
#[macro_export]
macro_rules! bus_suite {
    ($make:path) => {
        $crate::bus_suite! { @each $make:
            routing::wildcards_route_as_in_amqp,
            routing::a_queue_is_bound_to_its_own_name_and_takes_an_event_once,
            routing::no_queue_is_an_error_only_for_commands,
            routing::a_batch_has_a_result_for_each_event,
            routing::declaring_again_changes_the_bindings,
            routing::an_unknown_queue_cannot_be_consumed,
            routing::an_empty_queue_goes_when_it_is_retired,
            routing::what_waits_in_a_retired_queue_is_taken_when_it_is_declared_again,
            delivery::events_arrive_whole_and_in_order,
            delivery::higher_priority_overtakes_what_waits,
            delivery::no_more_than_the_prefetch_is_unsettled,
            delivery::an_unsettled_delivery_that_is_dropped_comes_again_uncounted,
            delivery::a_dropped_subscription_gives_back_what_it_buffered_and_leaves_what_is_held,
            delivery::cancelling_next_loses_nothing,
            delivery::an_abandoned_publication_wakes_the_consumer_all_the_same,
            delivery::a_large_backlog_drains_within_bounds,
            delivery::publishers_at_once_lose_and_mix_nothing,
            sharing::consumers_share_fairly,
            sharing::a_trickle_goes_round,
            sharing::a_slow_consumer_does_not_hold_up_the_others,
            sharing::a_single_active_consumer_has_all_until_it_goes,
            death::rejections_are_counted_and_the_last_one_is_death,
            death::a_verdict_of_death_is_carried_out_at_once,
            death::what_is_no_event_never_reaches_a_consumer,
            death::a_dead_letter_that_is_not_settled_comes_again,
            death::one_event_may_die_in_each_of_its_queues,
            broadcast::everybody_who_listens_hears_in_order,
            broadcast::patterns_choose_and_nothing_is_kept_for_later,
            broadcast::a_slow_listener_holds_up_nobody,
            broadcast::too_much_at_once_is_refused,
            restart::what_was_confirmed_is_there_after_a_crash_and_what_was_accepted_is_not,
            restart::dead_letters_and_retired_queues_outlive_a_crash,
        }
    };
    (@each $make:path: $($group:ident::$behaviour:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                $crate::suite::$group::$behaviour($make().await).await;
            }
        )*
    };
}
