//! What passed, as Prometheus reads it (text format 0.0.4), under the names and labels that Toxiproxy gives it.
//!
//! The original counts a direction when it ends; here what passes counts at once.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::named::NamedProxy;
use crate::link::Way;

/// What [`text`] is.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counters of all proxies.
pub(super) fn text(proxies: &BTreeMap<String, NamedProxy>) -> String {
    let mut text = String::new();
    for (verb, is_sent) in [("received", false), ("sent", true)] {
        let name = format!("toxiproxy_proxy_{verb}_bytes_total");
        // Writing to a string never fails.
        let _ = writeln!(text, "# HELP {name} Bytes that were {verb}.\n# TYPE {name} counter");
        for proxy in proxies.values() {
            for (way, direction) in [(Way::Down, "downstream"), (Way::Up, "upstream")] {
                let (received_bytes, sent_bytes) = proxy.passed(way);
                let bytes = if is_sent { sent_bytes } else { received_bytes };
                let [name_of_it, listen, upstream] =
                    [&proxy.name, &proxy.listen, &proxy.upstream].map(|value| escaped(value));
                let _ = writeln!(
                    text,
                    "{name}{{direction=\"{direction}\",listener=\"{listen}\",proxy=\"{name_of_it}\",upstream=\"{upstream}\"}} {bytes}"
                );
            }
        }
    }
    text
}

/// The value of a label.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
