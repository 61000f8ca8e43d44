package fsm

import (
	"encoding/binary"
	"strings"

	"ironman/wal/event"
)

// fold makes names comparable without regard to case. They are ASCII.
func fold(name string) string { return strings.ToLower(name) }

// keyEscaped is the prefix of a table's rows that belong to a text.
func keyEscaped(t table, s string) []byte {
	return appendEscaped(append(make([]byte, 0, 1+len(s)+32), byte(t)), s)
}

// nameKey finds a principal by its name, whose case matters in URLs only.
func nameKey(account string, kind event.PrincipalKind, name string) []byte {
	if kind != event.PrincipalKind_PRINCIPAL_KIND_PROVIDER {
		name = fold(name)
	}
	return append(append(keyEscaped(tableName, account), byte(kind)), name...)
}

func memberKey(group, user string) []byte { return append(keyEscaped(tableMember, group), user...) }

func policyNameKey(account, name string) []byte {
	return append(keyEscaped(tablePolicyName, account), fold(name)...)
}

func policyTextKey(policy string, version uint32) []byte {
	return binary.BigEndian.AppendUint32(keyEscaped(tablePolicyText, policy), version)
}

func inlineKey(principal, name string) []byte {
	return append(keyEscaped(tableInline, principal), name...)
}

// Uses of a managed policy.
const (
	useAttached = 1
	useBoundary = 2
)

func attachmentKey(policy string, use byte, principal string) []byte {
	return append(append(keyEscaped(tableAttachment, policy), use), principal...)
}

// ownKeys is the prefix of the keys of a user, or of the account itself (user "").
func ownKeys(account, user string) []byte {
	return appendEscaped(keyEscaped(tableKeyOf, account), user)
}

func keyOfKey(account, user, accessKey string) []byte {
	return append(ownKeys(account, user), accessKey...)
}
