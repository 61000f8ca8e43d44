// Package iam serves Amazon's Query APIs of identities: IAM (2010-05-08) and STS
// (2011-06-15). It knows their actions, parameters, answers and errors, what a
// principal's policies say together, and what a session token holds. It knows no
// HTTP and no keys: a call comes verified, with a view of the state; secrets are
// sealed by whoever has the keyring; changes are proposed as events.
//
// Invariants:
//   - A call touches the caller's own account and no other. The account is never read
//     from the request; AssumeRole alone crosses it, by the leave of both. Who calls
//     AssumeRoleWithWebIdentity has none: the role's trust policy decides about a token
//     that a provider of the role's account has signed.
//   - Nothing is done before the action is authorised on the resource that it is done
//     to, by name and path as the state has them.
//   - A policy that cannot be read denies everything.
//   - A secret is shown once, in the answer that made it.
//
// https://docs.aws.amazon.com/IAM/latest/APIReference/welcome.html
// https://docs.aws.amazon.com/STS/latest/APIReference/welcome.html
package iam
