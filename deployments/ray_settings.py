"""How Ray runs on one machine: the environment variables of the process that starts it."""

from deployments.malloc import MALLOC_KEEPS_PAGES

SETTINGS = {
    **MALLOC_KEEPS_PAGES,
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    # Ray runs its workers at a low priority, as background work; model servers and decode loops are not.
    "RAY_worker_niceness": "0",
    # At the default, ten times a second, the controller takes a twentieth of a core.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",
    # No load balancer stands in front of Serve here, so a replica that stops need not wait for one to notice.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
    # Nothing forks while it calls gRPC, and gRPC's notes on forks look like errors.
    "GRPC_ENABLE_FORK_SUPPORT": "0",
    "PYTHONUNBUFFERED": "1",
    # Looks for new log files every two seconds instead of ten times a second.
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "1",
    "LOG_NAME_UPDATE_INTERVAL_S": "2",
}
"""For every start."""

UNWATCHED = {
    "RAY_enable_metrics_collection": "0",
    "RAY_event_stats": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "5000",
    "REPORTER_UPDATE_INTERVAL_MS": "60000",
}
"""Additional ones without the dashboard: nothing is collected that only the dashboard and Prometheus show.

Together with the dashboard's absence they halve the processor time that Ray takes when idle.
"""
