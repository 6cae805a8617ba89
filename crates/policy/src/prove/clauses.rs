//! The schema with the answers of temporal clauses: a truth value for each, by its name.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::Schema;
use cedar_policy_core::est::Annotations;
use cedar_policy_core::validator::json_schema::{RecordType, Type, TypeOfAttribute, TypeVariant};
use cedar_policy_core::validator::{RawName, ValidatorSchema};
use smol_str::SmolStr;

use super::kinds::with_effect;
use super::{PROOF_CLAUSES_MAX, Unproven};
use crate::policies::Policies;
use crate::temporal::MEMBER;

/// The schema of both sets, in which conditions as they are evaluated have their types.
pub(super) fn schema(old: &Policies, new: &Policies) -> Result<Schema, Unproven> {
    let both = with_effect(old).chain(with_effect(new));
    let clauses = both.flat_map(|statement| &statement.leaves).map(|leaf| leaf.member.clone());
    let clauses: BTreeSet<SmolStr> = clauses.collect();
    if clauses.is_empty() {
        return Ok(old.schema.validator.clone().into());
    }
    if clauses.len() > PROOF_CLAUSES_MAX {
        return Err(Unproven::TooManyClauses);
    }
    let truth = || member(Type::Type { ty: TypeVariant::Boolean, loc: None });
    let answers = record(clauses.into_iter().map(|clause| (clause, truth())).collect());
    let mut fragment = old.schema.lowering().fragment().clone();
    for definition in fragment.0.values_mut() {
        for action in definition.actions.values_mut() {
            let context = action.applies_to.as_mut().map(|applies| &mut applies.context.0);
            if let Some(Type::Type { ty: TypeVariant::Record(context), .. }) = context {
                context.attributes.insert(SmolStr::new_static(MEMBER), member(answers.clone()));
            }
        }
    }
    let validator = ValidatorSchema::try_from(fragment);
    let validator = validator.map_err(|error| Unproven::Unsupported(error.to_string().into()))?;
    Ok(validator.into())
}

fn member(ty: Type<RawName>) -> TypeOfAttribute<RawName> {
    TypeOfAttribute { ty, annotations: Annotations::new(), required: true }
}

fn record(attributes: BTreeMap<SmolStr, TypeOfAttribute<RawName>>) -> Type<RawName> {
    let record = RecordType { attributes, additional_attributes: false };
    Type::Type { ty: TypeVariant::Record(record), loc: None }
}
