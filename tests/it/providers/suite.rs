//! The list of behaviours. Every provider has to show all of them.

/// Makes the tests of each subject: `name => function that makes it`.
macro_rules! provider_suite {
    ($($name:ident => $subject:path;)+) => {
        $(mod $name {
            $crate::providers::suite::provider_suite!(@cases $subject:
                answers::text_comes_in_its_pieces, answers::a_tool_is_asked_for_and_answered,
                answers::several_tools_are_asked_for_at_once, answers::thinking_goes_back_unchanged,
                answers::tokens_are_counted_and_priced, answers::a_full_answer_says_so,
                answers::a_refusal_is_an_error, answers::what_is_new_does_no_harm,
                answers::the_request_is_understood, answers::pictures_are_sent, answers::a_form_is_asked_for,
                answers::a_slow_answer_is_an_answer,
                faults::refusals_say_what_to_do, faults::errors_in_a_stream_are_errors, faults::broken_streams_are_errors,
                faults::silence_is_noticed, faults::who_goes_away_hangs_up,
                waits::retry_after_is_waited_for_each_time, waits::a_date_is_waited_for, waits::nobody_waits_for_ever,
            );
        })+
    };
    (@cases $subject:path: $($file:ident::$case:ident,)+) => {
        $(#[tokio::test]
        async fn $case() {
            $crate::providers::$file::$case(&$subject()).await;
        })+
    };
}
pub(super) use provider_suite;
