//! Expressions made anew, so that they share nothing with what the parser made, and without the places
//! in the text that each of its nodes has.

use cedar_policy_core::ast::{
    Eid, EntityType, EntityUID, Expr, ExprKind, InternalName, Literal, Name, Pattern,
};
use nonempty::NonEmpty;
use smol_str::SmolStr;
use std::sync::Arc;

/// The same expression; `None` for what is in no policy that is taken: slots, unknowns, and calls of
/// extension functions.
pub(crate) fn expression(old: &Expr) -> Option<Expr> {
    let of = |operand: &Arc<Expr>| expression(operand);
    Some(match old.expr_kind() {
        ExprKind::Lit(value) => Expr::val(literal(value)?),
        ExprKind::Var(variable) => Expr::var(*variable),
        ExprKind::If { test_expr, then_expr, else_expr } => {
            Expr::ite(of(test_expr)?, of(then_expr)?, of(else_expr)?)
        }
        ExprKind::And { left, right } => Expr::and(of(left)?, of(right)?),
        ExprKind::Or { left, right } => Expr::or(of(left)?, of(right)?),
        ExprKind::UnaryApp { op, arg } => Expr::unary_app(*op, of(arg)?),
        ExprKind::BinaryApp { op, arg1, arg2 } => Expr::binary_app(*op, of(arg1)?, of(arg2)?),
        ExprKind::GetAttr { expr, attr } => Expr::get_attr(of(expr)?, text(attr)),
        ExprKind::HasAttr { expr, attr } => Expr::has_attr(of(expr)?, text(attr)),
        ExprKind::ExtHasAttr { expr, attrs } => {
            let attributes = NonEmpty::collect(attrs.iter().map(text))?;
            Expr::extended_has_attr(of(expr)?, attributes)
        }
        ExprKind::Like { expr, pattern } => {
            Expr::like(of(expr)?, pattern.iter().cloned().collect::<Pattern>())
        }
        ExprKind::Is { expr, entity_type } => {
            Expr::is_entity_type(of(expr)?, type_of_entity(entity_type)?)
        }
        ExprKind::Set(elements) => Expr::set(all(elements)?),
        ExprKind::Record(members) => {
            let members = members
                .iter()
                .map(|(name, member)| Some((text(name), expression(member)?)))
                .collect::<Option<Vec<_>>>()?;
            Expr::record(members).ok()?
        }
        ExprKind::Slot(_) | ExprKind::Unknown(_) | ExprKind::ExtensionFunctionApp { .. } => {
            return None;
        }
    })
}

fn all(old: &[Expr]) -> Option<Vec<Expr>> {
    old.iter().map(expression).collect()
}

fn literal(old: &Literal) -> Option<Literal> {
    Some(match old {
        Literal::Bool(value) => Literal::Bool(*value),
        Literal::Long(number) => Literal::Long(*number),
        Literal::String(value) => Literal::String(text(value)),
        Literal::EntityUID(uid) => Literal::EntityUID(Arc::new(entity(uid)?)),
    })
}

fn entity(old: &EntityUID) -> Option<EntityUID> {
    let id: &str = old.eid().as_ref();
    let of = type_of_entity(old.entity_type())?;
    Some(EntityUID::from_components(of, Eid::new(SmolStr::new(id)), None))
}

pub(crate) fn type_of_entity(old: &EntityType) -> Option<EntityType> {
    name(old.name()).map(EntityType::from)
}

/// Every part of a name in a validated policy is one of the schema's, and those are short enough to lie where the name lies, and be shared with nothing.
fn name(old: &Name) -> Option<Name> {
    let old: &InternalName = old.as_ref();
    let inline = |id: &cedar_policy_core::ast::Id| !SmolStr::new(id.as_ref()).is_heap_allocated();
    let path: Vec<_> = old.namespace_components().cloned().collect();
    if !inline(old.basename()) || !path.iter().all(inline) {
        return None;
    }
    Name::try_from(InternalName::new(old.basename().clone(), path, None)).ok()
}

fn text(old: &SmolStr) -> SmolStr {
    SmolStr::new(old.as_str())
}
