//! A permit has no public maker.
use safeconduct_pep::Permit;

fn main() {
    let _: Permit<()> = Permit { cargo: () };
}
