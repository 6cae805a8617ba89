//! Only the service says that something is recorded.
use safeconduct_service::Recorded;

fn main() {
    let _ = Recorded::durable((), 0);
}
