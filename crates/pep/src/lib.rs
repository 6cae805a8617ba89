//! Where a permit is made: the trait Decide and the type Permit.
