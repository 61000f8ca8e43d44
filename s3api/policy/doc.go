// Package policy knows Amazon's policy language: it parses policies strictly, and says
// whether they allow or deny a request, or are silent. It knows the elements of a
// policy, patterns and variables, ARNs, condition operators, the names of actions and
// the kinds of resources they apply to, and what makes a policy public. It knows no
// store, no clock and no connection: the facts of a request are handed to it as a
// Context. How opinions of several policies, owners and grants come together is the
// business of package access.
//
// Invariants:
//   - What Parse accepted is understood whole: an unknown element, operator or
//     malformed value is refused, never skipped, for a condition that is not
//     understood would be one that is not kept.
//   - A statement whose text cannot be completed (a variable without a value) names
//     nothing: neither allows nor denies by it.
//   - Values of a request are never read as patterns. Only the policy's author writes
//     wildcards.
//   - Keys of conditions come from named facts. No header or parameter of a request
//     becomes a key because of its name.
//   - A policy is immutable after Parse and may be evaluated by many at once.
//
// Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html,
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html,
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
package policy
