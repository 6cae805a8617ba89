//! A permit is used up by its first use.
use safeconduct_pep::{Decide, Permit};

fn perform<D: Decide>(decide: &D, permit: Permit<()>) {
    let _ = decide.redeem(permit);
    let _ = decide.redeem(permit);
}

fn main() {}
