package fsm

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"ironman/wal/event"
)

// vault draws an event of the vault.
func (g *generator) vault(d *event.Draft) {
	account := fmt.Sprint(1 + g.choose(3))
	id := g.one("u1", "u2", "p1", "p2", "p3", "p4", "p5", "p6")
	policy := g.one("q1", "q2", "q3", BuiltinPolicy+"A")
	doc := g.one("{ }", "{}", "text", strings.Repeat("x", 2500), strings.Repeat(" ", 3000)+"y", "")
	names := []string{"ann", "Ann", "bob", "Bob", "c+c", "no space", ""}
	name := names[min(g.choose(9), len(names)-1)%len(names)]
	switch g.choose(21) {
	case 0, 1, 2, 3:
		kind := map[string]event.PrincipalKind{"p3": 2, "p4": 3, "p5": 2, "p6": 4}[id]
		if kind == 0 || g.odds(8) {
			kind = event.PrincipalKind(1 + g.choose(12)/11)
		}
		b := &event.PrincipalCreated{Principal: id, Account: account, Kind: kind, Path: g.one("/", "/a/", "/a/b/", "a")}
		d.Statement.Body = &event.Statement_PrincipalCreated{PrincipalCreated: b}
		g.portrait(d, b.Kind, name, &b.MaxSession, &b.Boundary)
	case 4, 5:
		b := &event.PrincipalChanged{Principal: id, Path: g.one("/", "/z/")}
		if was := g.m.principal(g.one(id, id, "u1", "p1")); was != nil && g.odds(2) {
			b.Was = was.Portrait()
		}
		d.Statement.Body = &event.Statement_PrincipalChanged{PrincipalChanged: b}
		g.portrait(d, g.m.principal(id).GetKind(), name, &b.MaxSession, &b.Boundary)
	case 6:
		d.Statement.Body = &event.Statement_PrincipalDeleted{PrincipalDeleted: &event.PrincipalDeleted{Principal: id}}
	case 7, 8, 9:
		b := &event.MembersChanged{Group: g.one("p3", "p5", id), Add: g.some("u1", "u2", "p1", "p2", "p1"), Remove: g.some("u1", "p1")}
		if g.odds(2) {
			b.Remove = nil
		}
		d.Statement.Body = &event.Statement_MembersChanged{MembersChanged: b}
	case 10, 11:
		d.Statement.Body = &event.Statement_PolicyCreated{PolicyCreated: &event.PolicyCreated{Policy: policy, Account: account, Path: "/"}}
		d.AddText(event.ItemKind_ITEM_KIND_NAME, 0, name).AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, doc)
		g.describe(d)
	case 12, 13:
		d.Statement.Body = &event.Statement_PolicyVersionCreated{PolicyVersionCreated: &event.PolicyVersionCreated{Policy: policy, Default: g.odds(2)}}
		d.AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, doc)
	case 14:
		version := uint32(g.choose(7))
		if g.odds(2) {
			d.Statement.Body = &event.Statement_PolicyDefaultSet{PolicyDefaultSet: &event.PolicyDefaultSet{Policy: policy, Version: version}}
			return
		}
		d.Statement.Body = &event.Statement_PolicyVersionDeleted{PolicyVersionDeleted: &event.PolicyVersionDeleted{Policy: policy, Version: version}}
	case 15:
		d.Statement.Body = &event.Statement_PolicyDeleted{PolicyDeleted: &event.PolicyDeleted{Policy: policy}}
	case 16:
		d.Statement.Body = &event.Statement_InlinePolicySet{InlinePolicySet: &event.InlinePolicySet{Principal: id}}
		d.AddText(event.ItemKind_ITEM_KIND_NAME, 0, g.one("i", "j", "k", "l", "bad name")).AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, doc)
	case 17:
		b := &event.PoliciesAttached{Principal: id, Attach: g.some("q1", "q2", "q3", BuiltinPolicy+"A"), Detach: g.some("q1", "q2", BuiltinPolicy+"B")}
		d.Statement.Body = &event.Statement_PoliciesAttached{PoliciesAttached: b}
	case 18, 19:
		g.tenants(d, account)
	case 20:
		b := &event.PolicyTagsSet{Policy: policy}
		if was := g.m.vault.policies[g.one(policy, policy, "q1")]; was != nil && g.odds(2) {
			b.Was = was.Portrait()
		}
		d.Statement.Body = &event.Statement_PolicyTagsSet{PolicyTagsSet: b}
		g.policyTags(d)
	}
}

// policyTags draws tags: none, as many as there may be, one more, or what are none.
func (g *generator) policyTags(d *event.Draft) {
	tags := &event.Tags{}
	for i := range []int{0, 1, 2, maxVaultTags, maxVaultTags + 1}[g.choose(5)] {
		tags.Tags = append(tags.Tags, &event.Tag{Key: fmt.Sprint("k", i), Value: g.one("v", "w")})
	}
	switch {
	case g.odds(10):
		d.AddText(event.ItemKind_ITEM_KIND_TAGS, 0, "\x0a\x7f") // torn
	case len(tags.Tags) > 0 || g.odds(2):
		d.AddMessage(event.ItemKind_ITEM_KIND_TAGS, 0, tags)
	}
}

// portrait draws what an event tells of a principal.
func (g *generator) portrait(d *event.Draft, kind event.PrincipalKind, name string, session *uint32, boundary *string) {
	d.AddText(event.ItemKind_ITEM_KIND_NAME, 0, name)
	if kind == event.PrincipalKind_PRINCIPAL_KIND_PROVIDER && !g.odds(8) {
		d.AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, g.one("believed", "other", "", strings.Repeat("b", 32769)))
		g.describe(d)
		return
	}
	if kind == event.PrincipalKind_PRINCIPAL_KIND_ROLE || g.odds(20) {
		*session = uint32(3600 - g.choose(10)/9)
		d.AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, g.one("trust", "trust", "", strings.Repeat("t", 2049)))
		d.AddText(event.ItemKind_ITEM_KIND_NAME, 1, g.one("", "about"))
	}
	if g.odds(5) {
		*boundary = g.one("q1", "q2", BuiltinPolicy+"A")
	}
	g.describe(d)
}

// some draws a few of the given, mostly none twice.
func (g *generator) some(of ...string) []string {
	var out []string
	for range g.choose(3) {
		if s := g.one(of...); g.odds(20) || !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (g *generator) tenants(d *event.Draft, account string) {
	switch g.choose(4) {
	case 0, 3:
		d.Statement.Body = &event.Statement_AccountChanged{AccountChanged: &event.AccountChanged{Account: account}}
		d.AddText(event.ItemKind_ITEM_KIND_NAME, 0, g.one("new", "\xff")).AddText(event.ItemKind_ITEM_KIND_NAME, 1, g.one("", "x@y", "x@y", "x@y"))
	case 1:
		d.Statement.Body = &event.Statement_AccountDeleted{AccountDeleted: &event.AccountDeleted{Account: account}}
	case 2:
		d.Statement.Body = &event.Statement_AccessKeySealed{AccessKeySealed: &event.AccessKeySealed{AccessKey: g.one("k1", "k2"), SealedSecret: []byte(g.one("again", ""))}}
	}
}

// newVaultWorld is a world at a level that has the vault, or one that is raised to it with
// users and keys of before.
func newVaultWorld(t rapid.TB, level uint32, choose chooser, raised bool) *world {
	w := &world{t: t, g: &generator{choose: choose, m: newModel(1000)}, stamp: 1_800_000_000e9}
	first := level
	if raised {
		first = 2
	}
	add := func(s *event.Statement) {
		w.g.ids++
		s.Header = &event.Header{FeatureLevel: 1, RequestId: id16(w.g.ids)}
		w.next(&event.Draft{Statement: s})
	}
	add(&event.Statement{Body: &event.Statement_ClusterInitialized{ClusterInitialized: &event.ClusterInitialized{ClusterId: make([]byte, 16), FeatureLevel: first}}})
	add(&event.Statement{Body: &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{Node: 1, PublicKey: []byte{1}, Boot: 1, FeatureLevel: level}}})
	for i, id := range []string{alice, bob} {
		add(&event.Statement{Body: &event.Statement_AccountCreated{AccountCreated: &event.AccountCreated{Account: fmt.Sprint(i + 1), CanonicalId: id}}})
	}
	if raised {
		w.growVault(30)
		add(&event.Statement{Body: &event.Statement_FeatureLevelRaised{FeatureLevelRaised: &event.FeatureLevelRaised{FeatureLevel: level}}})
	}
	return w
}

// growVault draws events of identities.
func (w *world) growVault(n int) {
	for range n {
		d := event.NewDraft(w.g.request(), nil)
		if !w.g.odds(4) {
			d.Statement.Header.FeatureLevel = w.g.m.cluster.GetFeatureLevel()
		}
		w.g.identity(d)
		w.next(d)
	}
}

// TestVaultModel feeds random events of identities to a machine and to the model.
func TestVaultModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newVaultWorld(t, rapid.SampledFrom([]uint32{3, 4}).Draw(t, "level"), rapidly(t), rapid.Bool().Draw(t, "raised"))
		w.growVault(rapid.IntRange(1, 120).Draw(t, "events"))
		m := memory(t, Options{Window: 1000})
		defer m.Close()
		for i, r := range m.Apply(w.log) {
			if !sameResult(r, w.want[i]) {
				t.Fatalf("entry %d: %v, want %v", i, r.Outcome, w.want[i].Outcome)
			}
		}
		if d := diffRows(scanned(t, m), w.g.m.rows()); d != "" {
			t.Fatalf("rows differ:\n%s", d)
		}
		if got := m.Applied(); got.Digest != recomputed(t, m) {
			t.Fatal("the digest is not that of the rows")
		}
		w.m = m
		w.compareVault()
	})
}

// TestVaultOutcomes sees to it that the model test meets everything there is.
func TestVaultOutcomes(t *testing.T) {
	outcomes := map[string]int{}
	for seed := range uint64(sample(80, 1)) {
		w := newVaultWorld(t, event.FeatureLevel, seeded(seed), seed%2 == 0)
		w.growVault(300)
		for i, r := range w.want {
			_, proposal, _ := event.ParseEntry(w.log[i].Data)
			if p, err := event.Parse(proposal); err == nil && !r.Duplicate {
				outcomes[event.KindName(p.Statement.Kind())+" "+describeRefusal(r.Outcome.Refusal)]++
			}
		}
	}
	for _, want := range []string{
		"principal_created ok", "principal_created EXISTS", "principal_created NOT_FOUND", "principal_created INVALID", "principal_created LIMIT_EXCEEDED",
		"principal_changed ok", "principal_changed EXISTS", "principal_changed NOT_FOUND", "principal_deleted ok", "principal_deleted IN_USE",
		"members_changed ok", "members_changed NOT_FOUND", "members_changed INVALID", "policy_created ok", "policy_created EXISTS",
		"policy_version_created ok", "policy_version_created LIMIT_EXCEEDED", "policy_version_deleted ok", "policy_version_deleted IN_USE",
		"policy_default_set ok", "policy_tags_set ok", "policy_tags_set NOT_FOUND", "policy_tags_set CONFLICT", "policy_tags_set LIMIT_EXCEEDED",
		"policy_tags_set INVALID", "policy_tags_set FEATURE_LEVEL", "policy_deleted ok", "policy_deleted IN_USE", "inline_policy_set ok", "inline_policy_set NOT_FOUND",
		"inline_policy_set LIMIT_EXCEEDED", "policies_attached ok", "policies_attached NOT_FOUND", "account_changed ok", "account_changed EXISTS",
		"account_deleted ok", "account_deleted IN_USE", "access_key_sealed ok", "access_key_created ok", "user_created ok", "user_created EXISTS",
	} {
		if outcomes[want] < 2 && !testing.Short() {
			t.Errorf("%s came only %d times", want, outcomes[want])
		}
	}
}

// compareVault compares what views show with the model.
func (w *world) compareVault() {
	v, err := w.m.View()
	if err != nil {
		w.t.Fatal(err)
	}
	defer v.Close()
	m := w.g.m
	for _, account := range []string{"1", "2"} {
		for kind := event.PrincipalKind(1); kind <= 4; kind++ {
			var want []string
			for k, id := range m.vault.names {
				if strings.HasPrefix(k, string(append(keyEscaped(tableName, account), byte(kind)))) && strings.HasPrefix(m.principal(id).Path, "/a") {
					want = append(want, k[len(k)-len(m.users[id].Name):]+" "+id)
				}
			}
			slices.Sort(want)
			var got []string
			for after, more := "", true; more; {
				page, next, err := v.Principals(kind, VaultQuery{Account: account, PathPrefix: "/a", After: after, Max: 1})
				if err != nil {
					w.t.Fatal(err)
				}
				for _, x := range page {
					got = append(got, fold(x.Name)+" "+x.Principal)
					after = x.Name
				}
				more = next
			}
			if !slices.Equal(got, want) {
				w.t.Fatalf("%s of account %s: %v, want %v", kind, account, got, want)
			}
		}
	}
	for id := range m.users {
		w.compareAuthority(v, id)
	}
}

// compareAuthority compares all that decides for a principal.
func (w *world) compareAuthority(v *View, id string) {
	m, x := w.g.m, w.g.m.principal(id)
	var want []string
	for _, of := range append([]string{""}, x.Groups...) {
		owner := of
		if owner == "" {
			owner = id
		}
		for at, t := range m.vault.inline {
			if at[0] == owner {
				want = append(want, fmt.Sprintf("%s|%s|%s", of, at[1], t.Text))
			}
		}
		for _, p := range m.users[owner].Policies {
			text := ""
			if q := m.vault.policies[p]; q != nil {
				text = string(m.vault.texts[p][q.DefaultVersion].Text)
			}
			want = append(want, fmt.Sprintf("%s|%s|%s", of, p, text))
		}
	}
	a, err := v.Authority(id)
	if err != nil || !proto.Equal(a.Principal.Tags, x.Tags) || (a.Boundary == nil) != (x.Boundary == "") {
		w.t.Fatalf("authority of %s: %v, %v", id, a, err)
	}
	var got []string
	for _, p := range a.Policies {
		name := p.ID
		if name == "" {
			name = p.Name
		}
		got = append(got, fmt.Sprintf("%s|%s|%s", p.Of, name, p.Text))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Fatalf("authority of %s: %v, want %v", id, got, want)
	}
}

// TestVaultLimits goes to every limit and one beyond it.
func TestVaultLimits(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	newest := func() *event.Header { h := r.header(); h.FeatureLevel = event.FeatureLevel; return h }
	r.accept(event.NewDraft(r.header(), &event.Statement_ClusterInitialized{ClusterInitialized: &event.ClusterInitialized{ClusterId: make([]byte, 16), FeatureLevel: event.FeatureLevel}}))
	r.accept(event.NewDraft(r.header(), &event.Statement_AccountCreated{AccountCreated: &event.AccountCreated{Account: "1", CanonicalId: alice}}))
	principal := func(kind event.PrincipalKind, name string) *event.Draft {
		b := &event.PrincipalCreated{Principal: name, Account: "1", Kind: kind, Path: "/"}
		d := event.NewDraft(newest(), &event.Statement_PrincipalCreated{PrincipalCreated: b}).AddText(event.ItemKind_ITEM_KIND_NAME, 0, name)
		if kind == event.PrincipalKind_PRINCIPAL_KIND_ROLE {
			b.MaxSession = 3600
		}
		if kind >= event.PrincipalKind_PRINCIPAL_KIND_ROLE {
			d.AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, "t")
		}
		return d
	}
	policy := func(i int) *event.Draft {
		return event.NewDraft(newest(), &event.Statement_PolicyCreated{PolicyCreated: &event.PolicyCreated{Policy: fmt.Sprint("q", i), Account: "1", Path: "/"}}).
			AddText(event.ItemKind_ITEM_KIND_NAME, 0, fmt.Sprint("q", i)).AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, "{}")
	}
	for _, c := range []struct {
		name string
		most int
		make func(i int) *event.Draft
	}{
		{"groups", 300, func(i int) *event.Draft { return principal(2, fmt.Sprint("g", i)) }},
		{"roles", 1000, func(i int) *event.Draft { return principal(3, fmt.Sprint("r", i)) }},
		{"users", 5000, func(i int) *event.Draft { return principal(1, fmt.Sprint("u", i)) }},
		{"providers", 100, func(i int) *event.Draft { return principal(4, fmt.Sprint("p.example/", i)) }},
		{"policies", 1500, policy},
		{"versions", 4, func(int) *event.Draft {
			return event.NewDraft(newest(), &event.Statement_PolicyVersionCreated{PolicyVersionCreated: &event.PolicyVersionCreated{Policy: "q1"}}).
				AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, "{}")
		}},
		{"groups of a user", 10, func(i int) *event.Draft {
			return event.NewDraft(newest(), &event.Statement_MembersChanged{MembersChanged: &event.MembersChanged{Group: fmt.Sprint("g", i), Add: []string{"u0"}}})
		}},
		{"policies of a user", 10, func(i int) *event.Draft {
			return event.NewDraft(newest(), &event.Statement_PoliciesAttached{PoliciesAttached: &event.PoliciesAttached{Principal: "u0", Attach: []string{fmt.Sprint("q", i)}}})
		}},
		{"keys of a user", 2, func(i int) *event.Draft {
			return event.NewDraft(newest(), &event.Statement_AccessKeyCreated{AccessKeyCreated: &event.AccessKeyCreated{AccessKey: fmt.Sprint("k", i), Account: "1", User: "u0", SealedSecret: []byte("s")}})
		}},
		{"keys of an account", 10, func(i int) *event.Draft {
			return event.NewDraft(newest(), &event.Statement_AccessKeyCreated{AccessKeyCreated: &event.AccessKeyCreated{AccessKey: fmt.Sprint("own", i), Account: "1", SealedSecret: []byte("s")}})
		}},
	} {
		var entries []Entry
		for i := range c.most {
			entries = append(entries, r.entry(c.make(i)))
		}
		for i, x := range r.Apply(entries) {
			if x.Outcome.Refusal != none {
				t.Fatalf("%s: number %d was refused: %s", c.name, i+1, x.Outcome.Refusal)
			}
		}
		if o := r.propose(c.make(c.most)).Outcome; o.Refusal != tooMany {
			t.Errorf("%s: number %d gave %s", c.name, c.most+1, o.Refusal)
		}
	}
}

// TestGoldenVault replays the recorded log of the vault at level 3, as TestGoldenLog
// does with others.
func TestGoldenVault(t *testing.T) {
	golden(t, "testdata/golden/level-3-vault.log", func() []byte {
		w := newVaultWorld(t, 3, seeded(2028), true)
		w.growVault(400)
		return w.recorded(t, 1000)
	}, 1000)
}
