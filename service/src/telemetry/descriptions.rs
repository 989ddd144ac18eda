//! The metrics of this crate.

use super::{MetricDescription, MetricKind};

/// All metrics that this crate emits. `service` is the name of a public port, `route` a route's pattern.
pub const METRICS: &[MetricDescription] = &[
    MetricDescription {
        name: "build_info",
        kind: MetricKind::Gauge,
        labels: &["version"],
        help: "Always 1; the version is the label",
    },
    MetricDescription {
        name: "clock_jumps_total",
        kind: MetricKind::Counter,
        labels: &["direction"],
        help: "Jumps of the wall clock by a second or more, `ahead` or `back`",
    },
    MetricDescription {
        name: "clock_offset_seconds",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Offset of the wall clock from the time it would show had it run on since the start",
    },
    MetricDescription {
        name: "data_dir_free_bytes",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Free space of the data directory's file system, without the part reserved for root, once a second; \
               NaN when it has not answered for 5 s",
    },
    MetricDescription {
        name: "data_dir_space_low",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Embedded store: 1 when less than `store.min_free_bytes` is free, so that no events are accepted; \
               on CQL always 0",
    },
    MetricDescription {
        name: "data_dir_total_bytes",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Size of the data directory's file system",
    },
    MetricDescription {
        name: "http_answers_cut_total",
        kind: MetricKind::Counter,
        labels: &[],
        help: "Answers cut because their client did not read, or slower than `min_send_bytes_per_s`",
    },
    MetricDescription {
        name: "http_connections_displaced_total",
        kind: MetricKind::Counter,
        labels: &[],
        help: "Connections that waited for a request and were closed for another one",
    },
    MetricDescription {
        name: "http_connections_refused_total",
        kind: MetricKind::Counter,
        labels: &[],
        help: "Connections over `max_connections` or their client's share, or that came faster than they can be \
               served; also those on which a proxy did not name its client",
    },
    MetricDescription {
        name: "http_in_flight_limit",
        kind: MetricKind::Gauge,
        labels: &["service"],
        help: "In-flight limit in force: of a read service at most `max_in_flight`, lower while work queues; of a \
               writer always that",
    },
    MetricDescription {
        name: "http_request_duration_seconds",
        kind: MetricKind::Histogram,
        labels: &["service", "method", "route"],
        help: "Time from the request's head to the answer's head",
    },
    MetricDescription {
        name: "http_requests_in_flight",
        kind: MetricKind::Gauge,
        labels: &["service"],
        help: "Requests that wait for their answer; those answered at once never count",
    },
    MetricDescription {
        name: "http_requests_refused_total",
        kind: MetricKind::Counter,
        labels: &["service", "class", "reason"],
        help: "Read service: requests that were refused for their class, by the level (`level`) or by the in-flight \
               limit (`in_flight`)",
    },
    MetricDescription {
        name: "http_requests_total",
        kind: MetricKind::Counter,
        labels: &["service", "method", "route", "status"],
        help: "Answered requests; status 499: the client left first; route `unmatched`: no route. 429, 500 and \
               503 exist, as 0, from a route's first request on",
    },
    MetricDescription {
        name: "identity_provider_up",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "With `identity_provider.discovery`: 1 when the provider's addresses and keys could be fetched last time",
    },
    MetricDescription {
        name: "level",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Read service: level of degradation in force, 0 (nothing is left out) to 8 (scans only)",
    },
    MetricDescription {
        name: "level_by_hand",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Read service: 1 while an operator has set the level",
    },
    MetricDescription {
        name: "level_changes_total",
        kind: MetricKind::Counter,
        labels: &["direction"],
        help: "Read service: changes of the level, `up` or `down`",
    },
    MetricDescription {
        name: "process_clock_seconds",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "This machine's clock at the scrape, Unix time",
    },
    MetricDescription {
        name: "process_cpu_seconds_total",
        kind: MetricKind::Counter,
        labels: &[],
        help: "CPU time of the process, user and system (Linux only)",
    },
    MetricDescription {
        name: "process_max_fds",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Most file descriptors that the process may have open",
    },
    MetricDescription {
        name: "process_open_fds",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Open file descriptors of the process (Linux only)",
    },
    MetricDescription {
        name: "process_ready",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "1 when `/health/ready` answers 200",
    },
    MetricDescription {
        name: "process_resident_memory_bytes",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Resident memory of the process (Linux only)",
    },
    MetricDescription {
        name: "process_start_time_seconds",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Start of the process, Unix time",
    },
    MetricDescription {
        name: "runtime_busy_ratio",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "Utilization: share of the last second for which the runtime's workers were busy; from 0.5 on pages \
               refresh less often, from 0.6 on live displays are refused, from 0.7 on the level rises",
    },
    MetricDescription {
        name: "runtime_queue_delay_seconds",
        kind: MetricKind::Gauge,
        labels: &[],
        help: "How long work that is ready waits for a worker of the runtime, average of about the last fifth of a \
               second",
    },
    MetricDescription {
        name: "tls_certificate_expires_seconds",
        kind: MetricKind::Gauge,
        labels: &["service"],
        help: "Ports with TLS: time until the first certificate of the chain in use expires; below 0: it has expired",
    },
    MetricDescription {
        name: "tls_handshakes_total",
        kind: MetricKind::Counter,
        labels: &["service", "outcome"],
        help: "TLS handshakes: `done`; `failed`: broken off by an error or by the client, or plain HTTP; `timed_out`",
    },
    MetricDescription {
        name: "tls_reloads_total",
        kind: MetricKind::Counter,
        labels: &["service", "outcome"],
        help: "Changed certificate files: `taken`; `refused`: the old certificate stays",
    },
    MetricDescription {
        name: "waiting_room_total",
        kind: MetricKind::Counter,
        labels: &["room", "outcome"],
        help: "Requests in line, `sign_in` or `upload`: `given` a place; `again`: before their time, or no room yet; \
               `admitted` with a ticket; `full`: the line is ten minutes long",
    },
    MetricDescription {
        name: "waiting_room_wait_seconds",
        kind: MetricKind::Gauge,
        labels: &["room"],
        help: "How long one who joins the line now waits",
    },
];
