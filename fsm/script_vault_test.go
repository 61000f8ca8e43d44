package fsm

import (
	"fmt"
	"strings"

	"ironman/wal/event"
)

// principalItems are name=, about=, trust= and tags=k:v of a principal or policy.
func (a args) principalItems(d *event.Draft) *event.Draft {
	d.AddText(event.ItemKind_ITEM_KIND_NAME, 0, a.named["name"]).AddText(event.ItemKind_ITEM_KIND_NAME, 1, a.named["about"])
	d.AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, a.named["text"])
	return a.tagItem(d)
}

// tagItem is tags=k:v,...; without it there is none.
func (a args) tagItem(d *event.Draft) *event.Draft {
	if tags := a.list("tags"); tags != nil {
		m := &event.Tags{}
		for _, t := range tags {
			k, v, _ := strings.Cut(t, ":")
			m.Tags = append(m.Tags, &event.Tag{Key: k, Value: v})
		}
		d.AddMessage(event.ItemKind_ITEM_KIND_TAGS, 0, m)
	}
	return d
}

func (a args) path() string {
	if p, ok := a.named["path"]; ok {
		return p
	}
	return "/"
}

// vaultEvents makes the event of each command of the vault.
var vaultEvents = map[string]func(*script, args, *event.Header) *event.Draft{
	"principal": func(s *script, a args, h *event.Header) *event.Draft {
		kind := event.PrincipalKind_value["PRINCIPAL_KIND_"+strings.ToUpper(a.named["kind"])]
		return a.principalItems(event.NewDraft(h, &event.Statement_PrincipalCreated{PrincipalCreated: &event.PrincipalCreated{
			Principal: a.first(), Account: a.named["account"], Kind: event.PrincipalKind(kind), Path: a.path(),
			MaxSession: uint32(a.number("session")), Boundary: a.named["boundary"],
		}}))
	},
	"change-principal": func(s *script, a args, h *event.Header) *event.Draft {
		return a.principalItems(event.NewDraft(h, &event.Statement_PrincipalChanged{PrincipalChanged: &event.PrincipalChanged{
			Principal: a.first(), Path: a.path(), MaxSession: uint32(a.number("session")), Boundary: a.named["boundary"],
			Was: []byte(a.named["was"]),
		}}))
	},
	"delete-principal": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_PrincipalDeleted{PrincipalDeleted: &event.PrincipalDeleted{Principal: a.first()}})
	},
	"members": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_MembersChanged{MembersChanged: &event.MembersChanged{Group: a.first(), Add: a.list("add"), Remove: a.list("remove")}})
	},
	"policy": func(s *script, a args, h *event.Header) *event.Draft {
		return a.principalItems(event.NewDraft(h, &event.Statement_PolicyCreated{PolicyCreated: &event.PolicyCreated{Policy: a.first(), Account: a.named["account"], Path: a.path()}}))
	},
	"policy-version": func(s *script, a args, h *event.Header) *event.Draft {
		return a.principalItems(event.NewDraft(h, &event.Statement_PolicyVersionCreated{PolicyVersionCreated: &event.PolicyVersionCreated{Policy: a.first(), Default: a.has("default")}}))
	},
	"delete-policy-version": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_PolicyVersionDeleted{PolicyVersionDeleted: &event.PolicyVersionDeleted{Policy: a.first(), Version: uint32(a.number("version"))}})
	},
	"policy-default": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_PolicyDefaultSet{PolicyDefaultSet: &event.PolicyDefaultSet{Policy: a.first(), Version: uint32(a.number("version"))}})
	},
	"policy-tags": func(s *script, a args, h *event.Header) *event.Draft {
		return a.tagItem(event.NewDraft(h, &event.Statement_PolicyTagsSet{PolicyTagsSet: &event.PolicyTagsSet{Policy: a.first(), Was: []byte(a.named["was"])}}))
	},
	"delete-policy": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_PolicyDeleted{PolicyDeleted: &event.PolicyDeleted{Policy: a.first()}})
	},
	"inline": func(s *script, a args, h *event.Header) *event.Draft {
		return a.principalItems(event.NewDraft(h, &event.Statement_InlinePolicySet{InlinePolicySet: &event.InlinePolicySet{Principal: a.first()}}))
	},
	"attach": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_PoliciesAttached{PoliciesAttached: &event.PoliciesAttached{Principal: a.first(), Attach: a.list("add"), Detach: a.list("remove")}})
	},
	"change-account": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_AccountChanged{AccountChanged: &event.AccountChanged{Account: a.first()}}).
			AddText(event.ItemKind_ITEM_KIND_NAME, 0, a.named["name"]).AddText(event.ItemKind_ITEM_KIND_NAME, 1, a.named["email"])
	},
	"delete-account": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_AccountDeleted{AccountDeleted: &event.AccountDeleted{Account: a.first()}})
	},
	"seal-access-key": func(s *script, a args, h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_AccessKeySealed{AccessKeySealed: &event.AccessKeySealed{AccessKey: a.first(), SealedSecret: []byte(a.named["sealed"])}})
	},
}

// vaultQueries show what views tell of the vault.
var vaultQueries = map[string]func(*script, args) []string{
	"principals": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		kind := event.PrincipalKind_value["PRINCIPAL_KIND_"+strings.ToUpper(a.named["kind"])]
		list, more, err := v.Principals(event.PrincipalKind(kind), VaultQuery{Account: a.named["account"], PathPrefix: a.named["under"], After: a.named["after"], Max: int(a.number("max"))})
		var out []string
		for _, x := range list {
			out = append(out, fmt.Sprintf("  %s %s%s groups=%v policies=%v", x.Principal, x.Path, x.Name, x.Groups, x.Policies))
		}
		if more {
			out = append(out, "  and more")
		}
		return found(out, err)
	},
	"authority": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		x, err := v.Authority(a.first())
		if x == nil {
			return found(nil, err)
		}
		var out []string
		for _, p := range x.Policies {
			out = append(out, fmt.Sprintf("  %s%s of=%s %q", p.ID, map[bool]string{true: "inline " + p.Name}[p.ID == ""], p.Of, p.Text))
		}
		if x.Boundary != nil {
			out = append(out, fmt.Sprintf("  within %s %q", x.Boundary.ID, x.Boundary.Text))
		}
		return found(out, err)
	},
	"tags-of": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		x, err := v.Policy(a.first())
		if x == nil {
			return found(nil, err)
		}
		out := []string{fmt.Sprintf("  %s updated=%d", x.Name, x.Updated-x.Time)}
		for _, t := range x.Tags.GetTags() {
			out = append(out, "  "+t.Key+"="+t.Value)
		}
		return found(out, err)
	},
	"vault": func(s *script, a args) []string {
		v := s.view()
		defer v.Close()
		x, err := v.Vault(a.first())
		return found([]string{fmt.Sprintf("  users=%d groups=%d roles=%d policies=%d", x.GetUsers(), x.GetGroups(), x.GetRoles(), x.GetPolicies())}, err)
	},
}
