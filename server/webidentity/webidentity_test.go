package webidentity

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"ironman/s3api/iam"
	"ironman/server/outbound"
)

// issuer is a provider of the test.
type issuer struct {
	*httptest.Server
	t   *testing.T
	now time.Time

	mu     sync.Mutex
	keys   jose.JSONWebKeySet
	asked  int                                      // for its keys
	answer func(http.ResponseWriter, *http.Request) // nil: as it should
	says   string                                   // whose the discovery document is; "": its own
	more   string                                   // keys in front of its own
}

var rsaKey, otherKey, shortKey = mustRSA(2048), mustRSA(2048), mustRSA(1024)

func mustRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func newIssuer(t *testing.T, secure bool) *issuer {
	i := &issuer{t: t, now: time.Unix(1_800_000_000, 0)}
	mux := http.NewServeMux()
	mux.HandleFunc("/id/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.answer != nil {
			i.answer(w, r)
			return
		}
		i.document(http.StatusOK, "")(w, r)
	})
	mux.HandleFunc("/moved", i.document(http.StatusOK, ""))
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.asked++
		b, err := json.Marshal(i.keys)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(bytes.Replace(b, []byte("["), []byte("["+i.more), 1))
	})
	i.Server = httptest.NewUnstartedServer(mux)
	i.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	if secure {
		// At all addresses of the machine, of which its certificate names one.
		_ = i.Listener.Close()
		var err error
		if i.Listener, err = net.Listen("tcp4", "0.0.0.0:0"); err != nil {
			t.Fatal(err)
		}
		i.StartTLS()
		i.URL = strings.Replace(i.URL, "0.0.0.0", "127.0.0.1", 1)
	} else {
		i.Start()
	}
	t.Cleanup(i.Close)
	i.publish("a", rsaKey.Public())
	return i
}

// document answers with the discovery document and what is to follow it.
func (i *issuer) document(status int, behind string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		says := i.says
		if says == "" {
			says = i.url()
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": says, "jwks_uri": i.URL + "/keys"})
		_, _ = w.Write([]byte(behind))
	}
}

func (i *issuer) url() string { return i.URL + "/id" }

func (i *issuer) publish(id string, key any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys.Keys = append(i.keys.Keys, jose.JSONWebKey{Key: key, KeyID: id, Use: "sig"})
}

func (i *issuer) verifier(o Options) *Verifier {
	o.Now, o.Log = func() time.Time { return i.now }, slog.New(slog.DiscardHandler)
	return New(o)
}

func (i *issuer) provider(thumbprints ...string) *iam.Provider {
	return &iam.Provider{URL: i.url(), Clients: []string{"app", "tool"}, Thumbprints: thumbprints}
}

// token signs claims; nil values take those of a good token away.
func (i *issuer) token(alg jose.SignatureAlgorithm, key any, id string, change map[string]any) string {
	i.t.Helper()
	claims := map[string]any{
		"iss": i.url(), "sub": "somebody", "aud": []string{"elsewhere", "app"}, "iat": i.now.Unix(), "exp": i.now.Unix() + 600, "amr": []string{"mfa"},
	}
	for k, v := range change {
		if claims[k] = v; v == nil {
			delete(claims, k)
		}
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	out, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return out
}

// none is a token that nobody has signed.
func (i *issuer) none() string {
	part := base64.RawURLEncoding.EncodeToString
	_, rest, _ := strings.Cut(i.token(jose.RS256, rsaKey, "a", nil), ".")
	claims, _, _ := strings.Cut(rest, ".")
	return part([]byte(`{"alg":"none","kid":"a"}`)) + "." + claims + "."
}

// altered is a token about somebody else.
func altered(token string) string {
	parts := strings.Split(token, ".")
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		panic(err)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString(bytes.Replace(b, []byte("somebody"), []byte("somebod1"), 1))
	return strings.Join(parts, ".")
}

// pem is the public key as a text that both sides know.
func pem(key crypto.PublicKey) []byte {
	b, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return []byte("-----BEGIN PUBLIC KEY-----\n" + base64.StdEncoding.EncodeToString(b) + "\n-----END PUBLIC KEY-----\n")
}

// TestVerify: what a token must be to be believed. S-A11.
func TestVerify(t *testing.T) {
	i := newIssuer(t, false)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.publish("curve", curve.Public())
	secret := bytes.Repeat([]byte("s"), 32)
	i.publish("shared", secret)
	v := i.verifier(Options{Insecure: true})
	now := i.now.Unix()
	signed := func(change map[string]any) string { return i.token(jose.RS256, rsaKey, "a", change) }
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"good":                       {signed(nil), nil},
		"of a curve":                 {i.token(jose.ES256, curve, "curve", nil), nil},
		"without a key's id":         {i.token(jose.RS256, rsaKey, "", nil), nil},
		"for one client":             {signed(map[string]any{"aud": "tool"}), nil},
		"nobody signed":              {i.none(), iam.ErrToken},
		"signed by the public key":   {i.token(jose.HS256, pem(rsaKey.Public()), "a", nil), iam.ErrToken},
		"signed by a shared secret":  {i.token(jose.HS256, secret, "shared", nil), iam.ErrToken},
		"of another key":             {i.token(jose.RS256, otherKey, "a", nil), iam.ErrToken},
		"of a key that is not there": {i.token(jose.RS256, otherKey, "b", nil), iam.ErrToken},
		"altered":                    {altered(signed(nil)), iam.ErrToken},
		"issued to the client":       {signed(map[string]any{"aud": "account", "azp": "app"}), nil},
		"issued to another":          {signed(map[string]any{"aud": "app", "azp": "elsewhere"}), iam.ErrToken},
		"with one method":            {signed(map[string]any{"amr": "mfa"}), nil},
		"just expired":               {signed(map[string]any{"exp": now - 299}), nil},
		"of another issuer":          {signed(map[string]any{"iss": "https://other.example"}), iam.ErrToken},
		"for another client":         {signed(map[string]any{"aud": []string{"elsewhere"}}), iam.ErrToken},
		"for nobody":                 {signed(map[string]any{"aud": nil}), iam.ErrToken},
		"about nobody":               {signed(map[string]any{"sub": nil}), iam.ErrToken},
		"about a long name":          {signed(map[string]any{"sub": strings.Repeat("x", 256)}), iam.ErrToken},
		"for ever":                   {signed(map[string]any{"exp": nil}), iam.ErrToken},
		"of no time":                 {signed(map[string]any{"iat": nil}), iam.ErrToken},
		"of tomorrow":                {signed(map[string]any{"iat": now + 3600}), iam.ErrToken},
		"for later":                  {signed(map[string]any{"nbf": now + 3600}), iam.ErrToken},
		"expired":                    {signed(map[string]any{"exp": now - 300}), iam.ErrTokenExpired},
		"no token":                   {"a.b.c", iam.ErrToken},
		"empty":                      {"", iam.ErrToken},
	} {
		t.Run(name, func(t *testing.T) {
			who, err := v.Verify(t.Context(), i.provider(), c.token)
			if !errors.Is(err, c.want) || err == nil && c.want != nil {
				t.Fatalf("%+v, %v; want %v", who, err, c.want)
			}
			if err == nil && (who.Subject != "somebody" || who.Audiences[0] != "app" && name != "for one client" || len(who.AMR) != 1) {
				t.Errorf("%+v", who)
			}
		})
	}
	if got := v.Issuer(signed(nil)); got != i.url() {
		t.Errorf("it is from %q", got)
	}
	if who, err := v.Verify(t.Context(), i.provider(), signed(map[string]any{"aud": []string{"elsewhere", "tool", "app"}})); err != nil || !slices.Equal(who.Audiences, []string{"tool", "app"}) {
		t.Errorf("for several clients: %+v, %v", who, err)
	}
	for _, s := range []string{"", "a.b.c", i.none()} {
		if got := v.Issuer(s); got != "" {
			t.Errorf("%q is from %q", s, got)
		}
	}
}

// TestKeys: keys are read when they are needed, and no more often.
func TestKeys(t *testing.T) {
	i := newIssuer(t, false)
	v := i.verifier(Options{Insecure: true})
	verify := func(key *rsa.PrivateKey, id string) error {
		_, err := v.Verify(t.Context(), i.provider(), i.token(jose.RS256, key, id, nil))
		return err
	}
	asked := func(want int) {
		t.Helper()
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.asked != want {
			t.Fatalf("it was asked %d times, not %d", i.asked, want)
		}
	}
	for range 3 {
		if err := verify(rsaKey, "a"); err != nil {
			t.Fatal(err)
		}
	}
	asked(1)
	i.publish("b", otherKey.Public())
	for range 3 {
		if err := verify(otherKey, "b"); !errors.Is(err, iam.ErrToken) {
			t.Fatal(err)
		}
	}
	asked(1)
	i.now = i.now.Add(rest)
	if err := verify(otherKey, "b"); err != nil {
		t.Fatal(err)
	}
	asked(2)
	if err := verify(rsaKey, "a"); err != nil {
		t.Fatal(err)
	}
	asked(2)
	i.now = i.now.Add(fresh)
	if err := verify(rsaKey, "a"); err != nil {
		t.Fatal(err)
	}
	asked(3)

	// Without the provider what is known serves for a while.
	i.Close()
	i.now = i.now.Add(fresh)
	if err := verify(rsaKey, "a"); err != nil {
		t.Fatal(err)
	}
	i.now = i.now.Add(stale)
	if err := verify(rsaKey, "a"); !errors.Is(err, iam.ErrProvider) {
		t.Fatal(err)
	}
}

// TestSource: whom keys are taken from, and what is refused. S-E6.
func TestSource(t *testing.T) {
	plain := func(t *testing.T, change func(*issuer), o Options) error {
		i := newIssuer(t, false)
		change(i)
		_, err := i.verifier(o).Verify(t.Context(), i.provider(), i.token(jose.RS256, rsaKey, "a", nil))
		return err
	}
	same := func(*issuer) {}
	for name, change := range map[string]func(*issuer){
		"good":         same,
		"right behind": func(i *issuer) { i.answer = i.document(http.StatusOK, " ") },
		"beside keys of other kinds": func(i *issuer) {
			i.more = `{"kty":"OKP","crv":"X448","x":"AA","kid":"a"},{"kty":"new"},{"kty":"RSA","n":"!","e":"AQAB"},`
		},
	} {
		if err := plain(t, change, Options{Insecure: true}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*issuer){
		"of another issuer": func(i *issuer) { i.says = "https://other.example" },
		"a redirect":        func(i *issuer) { i.answer = http.RedirectHandler("/moved", http.StatusFound).ServeHTTP },
		"too long":          func(i *issuer) { i.answer = i.document(http.StatusOK, strings.Repeat(" ", maxDocument)) },
		"no JSON":           func(i *issuer) { i.answer = i.document(http.StatusOK, "}") },
		"an error":          func(i *issuer) { i.answer = i.document(http.StatusInternalServerError, "") },
		"no keys":           func(i *issuer) { i.keys.Keys = nil },
		"a short key":       func(i *issuer) { i.keys.Keys[0].Key = shortKey.Public() },
		"keys elsewhere": func(i *issuer) {
			i.answer = func(w http.ResponseWriter, _ *http.Request) {
				_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.url(), "jwks_uri": "file:///etc/passwd"})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := plain(t, change, Options{Insecure: true}); !errors.Is(err, iam.ErrProvider) {
				t.Errorf("%v", err)
			}
		})
	}
	if err := plain(t, same, Options{}); !errors.Is(err, iam.ErrProvider) {
		t.Errorf("over plain HTTP: %v", err)
	}
	secure := newIssuer(t, true)
	token := secure.token(jose.RS256, rsaKey, "a", nil)
	sum := sha1.Sum(secure.Certificate().Raw)
	known := hex.EncodeToString(sum[:])
	if _, err := secure.verifier(Options{}).Verify(t.Context(), secure.provider(known), token); !errors.Is(err, outbound.ErrPrivate) {
		t.Errorf("at a private address: %v", err)
	}
	v := secure.verifier(Options{Insecure: true})
	if _, err := v.Verify(t.Context(), secure.provider(strings.ToUpper(known)), token); err != nil {
		t.Errorf("by its thumbprint: %v", err)
	}
	for name, thumbprints := range map[string][]string{"none": nil, "another": {strings.Repeat("0", 40)}} {
		if _, err := v.Verify(t.Context(), secure.provider(thumbprints...), token); !errors.Is(err, iam.ErrProvider) {
			t.Errorf("thumbprint: %s: %v", name, err)
		}
	}
	// The certificate is for 127.0.0.1 and not for this other name of the same server.
	elsewhere := secure.provider(known)
	elsewhere.URL = strings.Replace(elsewhere.URL, "127.0.0.1", "127.0.0.2", 1)
	secure.says = elsewhere.URL
	other := secure.token(jose.RS256, rsaKey, "a", map[string]any{"iss": elsewhere.URL})
	_, err := v.Verify(t.Context(), elsewhere, other)
	var host x509.HostnameError
	if !errors.Is(err, iam.ErrProvider) || !errors.As(err, &host) {
		t.Errorf("of another host: %v", err)
	}
}

// TestNobodyWaits: while a provider is slow, who needs what is known already has it, and who
// waits may give up.
func TestNobodyWaits(t *testing.T) {
	i := newIssuer(t, false)
	v := i.verifier(Options{Insecure: true})
	known, unknown := i.token(jose.RS256, rsaKey, "a", nil), i.token(jose.RS256, otherKey, "b", nil)
	if _, err := v.Verify(t.Context(), i.provider(), known); err != nil {
		t.Fatal(err)
	}
	i.now = i.now.Add(rest)
	asked, answer := make(chan struct{}), make(chan struct{})
	i.mu.Lock()
	i.answer = func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-answer
		i.document(http.StatusOK, "")(w, r)
	}
	i.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := v.Verify(ctx, i.provider(), unknown)
		result <- err
	}()
	<-asked
	if _, err := v.Verify(t.Context(), i.provider(), known); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(answer)
}

// TestForget: the keys of one provider more drop those that were read longest ago.
func TestForget(t *testing.T) {
	i := newIssuer(t, false)
	v := i.verifier(Options{Insecure: true})
	for n := range maxProviders + 1 {
		k := v.keysOf(&iam.Provider{URL: fmt.Sprint("https://idp.example/", n)})
		k.tried = i.now.Add(time.Duration(-n) * time.Second) // the last is the oldest
	}
	if len(v.kept) != maxProviders || v.kept["https://idp.example/0"] == nil || v.kept[fmt.Sprint("https://idp.example/", maxProviders-1)] != nil {
		t.Errorf("%d are kept", len(v.kept))
	}
}
