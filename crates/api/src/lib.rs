//! HTTP: AuthZEN, outcomes, administration, health and metrics.
