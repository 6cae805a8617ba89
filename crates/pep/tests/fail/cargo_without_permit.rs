//! What calls upstream takes a permit; the call alone is not one.
use safeconduct_pep::Permit;

struct ToolCall;

fn call_upstream(_: Permit<ToolCall>) {}

fn main() {
    call_upstream(ToolCall);
}
