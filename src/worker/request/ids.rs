//! The ids by which a request is known beyond this server: its X-Request-ID, and the trace that it belongs to.
//!
//! What came with the request is taken over if it is sane, and made anew otherwise, where options ask for it. Without them
//! nothing is changed, and a sane id is shown in the records of the request all the same.

use super::vars::{Request, Span};
use crate::config::{IdPolicy, Tracing};
use crate::proto::trace;
use crate::sys::random::Pool;

/// Settles the ids of a request that is about to begin: what `request.known` has of them afterwards is sane, or empty.
#[inline]
pub fn settle(request: &mut Request, tracing: &Tracing, random: &mut Pool) {
    let is_taken_over = |policy, is_sane| policy != IdPolicy::New && is_sane;
    if !is_taken_over(tracing.request_id, trace::is_request_id(request.request_id())) {
        request.known.request_id = Span::default();
        if tracing.request_id.is_on() {
            make_request_id(request, random);
        }
    }
    let traceparent = request.get(request.known.traceparent);
    if !is_taken_over(tracing.trace_context, trace::trace_id(traceparent).is_some()) {
        request.known.traceparent = Span::default();
        if tracing.trace_context.is_on() {
            make_trace(request, random, tracing.trace_sample);
        }
    }
}

fn make_request_id(request: &mut Request, random: &mut Pool) {
    if let Some(bytes) = random.take() {
        request.set(b"HTTP_X_REQUEST_ID", &trace::new_request_id(bytes));
    }
}

/// W3C Trace Context §4.3: the state of a trace that does not go on is dropped.
fn make_trace(request: &mut Request, random: &mut Pool, percent: u8) {
    if let Some(bytes) = random.take() {
        request.set(b"HTTP_TRACEPARENT", &trace::new_traceparent(bytes, percent));
        request.remove(b"HTTP_TRACESTATE");
    }
}

/// The id of a request that is refused before it has begun; `given`: the X-Request-ID that it came with. Empty: none.
pub fn of_refused(given: &[u8], tracing: &Tracing) -> Vec<u8> {
    if tracing.request_id != IdPolicy::New && trace::is_request_id(given) {
        return given.to_vec();
    }
    let random = if tracing.request_id.is_on() { Pool::default().take() } else { None };
    random.map_or_else(Vec::new, |bytes| trace::new_request_id(bytes).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::uwsgi;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    fn settled(vars: &[(&str, &str)], policy: IdPolicy) -> Request {
        let mut request = Request { text: vec![0; 4], trusted: true, ..Request::default() };
        for (key, value) in vars {
            uwsgi::push_var(&mut request.text, key.as_bytes(), value.as_bytes()).unwrap();
        }
        request.index(request.text.len(), 100).unwrap();
        let tracing = Tracing { request_id: policy, trace_context: policy, ..Tracing::default() };
        settle(&mut request, &tracing, &mut Pool::default());
        request
    }

    const SANE: &[(&str, &str)] =
        &[("HTTP_X_REQUEST_ID", "abc"), ("HTTP_TRACEPARENT", PARENT), ("HTTP_TRACESTATE", "k=v")];
    const INSANE: &[(&str, &str)] = &[
        ("HTTP_TRACESTATE", "k=v"),
        ("HTTP_X_REQUEST_ID", "a b"),
        ("PATH_INFO", "/p"),
        ("HTTP_TRACEPARENT", "?"),
        ("SCRIPT_NAME", "/s"),
    ];

    #[test]
    fn nothing_is_changed_unless_asked_for() {
        let request = settled(SANE, IdPolicy::Untouched);
        assert_eq!((request.request_id(), request.trace_id()), (&b"abc"[..], &PARENT.as_bytes()[3..35]));
        let request = settled(INSANE, IdPolicy::Untouched);
        assert_eq!((request.request_id(), request.trace_id()), (&b""[..], &b""[..]));
        assert_eq!((request.find(b"HTTP_X_REQUEST_ID"), request.vars.len()), (Some(&b"a b"[..]), 5));
        assert!(settled(&[], IdPolicy::Untouched).vars.is_empty());
    }

    #[test]
    fn a_sane_id_is_taken_over() {
        let request = settled(SANE, IdPolicy::TakenOver);
        assert_eq!((request.request_id(), request.trace_id()), (&b"abc"[..], &PARENT.as_bytes()[3..35]));
        assert_eq!(request.find(b"HTTP_TRACEPARENT"), Some(PARENT.as_bytes()));
        assert_eq!(request.find(b"HTTP_TRACESTATE"), Some(&b"k=v"[..]));
    }

    #[test]
    fn others_are_replaced() {
        for (vars, policy) in
            [(INSANE, IdPolicy::TakenOver), (SANE, IdPolicy::New), (&[], IdPolicy::TakenOver)]
        {
            let request = settled(vars, policy);
            assert_eq!(request.find(b"HTTP_X_REQUEST_ID"), Some(request.request_id()));
            assert_eq!(request.request_id().len(), 32);
            let traceparent = request.find(b"HTTP_TRACEPARENT").unwrap();
            assert!(traceparent.ends_with(b"-01") && traceparent[3..35] == *request.trace_id());
            assert_eq!(request.find(b"HTTP_TRACESTATE"), None);
            assert_eq!(request.vars.len(), if vars == INSANE { 4 } else { 2 });
        }
    }

    #[test]
    fn removing_a_variable_moves_no_other() {
        let request = settled(INSANE, IdPolicy::TakenOver);
        assert_eq!(request.value_at(request.known.path_info), b"/p");
        assert_eq!(request.value_at(request.known.script_name), b"/s");
    }

    #[test]
    fn the_last_of_a_repeated_one_is_replaced() {
        let request =
            settled(&[("HTTP_X_REQUEST_ID", "abc"), ("HTTP_X_REQUEST_ID", "\"")], IdPolicy::TakenOver);
        assert_eq!(request.find(b"HTTP_X_REQUEST_ID"), Some(request.request_id()));
        assert_eq!(request.request_id().len(), 32);
    }

    #[test]
    fn a_refused_request_has_an_id_too() {
        let tracing = |request_id| Tracing { request_id, ..Tracing::default() };
        assert_eq!(of_refused(b"abc", &tracing(IdPolicy::Untouched)), b"abc");
        assert_eq!(of_refused(b"\n", &tracing(IdPolicy::Untouched)), b"");
        assert_eq!(of_refused(b"abc", &tracing(IdPolicy::TakenOver)), b"abc");
        assert_eq!(of_refused(b"", &tracing(IdPolicy::TakenOver)).len(), 32);
        assert_eq!(of_refused(b"abc", &tracing(IdPolicy::New)).len(), 32);
    }
}
