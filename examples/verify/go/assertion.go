package main

// Verifies the assertion that samlgate sends in X-Samlgate-Assertion (docs/verify-assertion.md), with Go's own library.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	leeway  = 5    // seconds that clocks may differ
	retry   = 10   // seconds between two fetches of the keys
	refresh = 300  // seconds until they are fetched again
	keep    = 3600 // seconds that they are good for without a fetch that worked
)

// Three parts of unpadded base64url; the signature has 64 octets, in their only spelling.
var form = regexp.MustCompile(`^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{85}[AQgw])$`)

// ErrRefused says that the request has no good assertion: answer 401 and do nothing else.
var ErrRefused = errors.New("refused")

// Verifier is one for the whole application. Keys is the URL of samlgate's jwks.json, or a file.
type Verifier struct {
	Issuer, Audience, Keys string
	Clock                  func() time.Time

	lock           sync.Mutex
	keys           map[string]*ecdsa.PublicKey
	fetched, tried time.Time
}

// Verify gives the claims of the header's value, or an ErrRefused.
func (v *Verifier) Verify(token string) (map[string]any, error) {
	parts := form.FindStringSubmatch(token)
	if parts == nil {
		return nil, refused("no assertion, or not one")
	}
	header, err := object(parts[1])
	if err != nil {
		return nil, err
	}
	if _, crit := header["crit"]; crit || header["alg"] != "ES256" {
		return nil, refused("another algorithm, or an extension")
	}
	kid, _ := header["kid"].(string)
	key, err := v.key(kid)
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[3])
	if err != nil {
		return nil, refused("no assertion, or not one")
	}
	digest := sha256.Sum256([]byte(parts[1] + "." + parts[2]))
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if !ecdsa.Verify(key, digest[:], r, s) {
		return nil, refused("the signature is not good")
	}
	claims, err := object(parts[2])
	if err != nil {
		return nil, err
	}
	if claims["iss"] != v.Issuer || claims["aud"] != v.Audience {
		return nil, refused("from another issuer, or for another audience")
	}
	now := float64(v.Clock().Unix())
	exp, hasExp := claims["exp"].(float64)
	nbf, hasNbf := claims["nbf"].(float64)
	if !hasExp || !hasNbf || now < nbf-leeway || now >= exp+leeway {
		return nil, refused("expired or not yet valid")
	}
	for _, name := range []string{"sub", "user"} {
		if text, _ := claims[name].(string); text == "" {
			return nil, refused("no subject")
		}
	}
	return claims, nil
}

func (v *Verifier) key(kid string) (*ecdsa.PublicKey, error) {
	v.lock.Lock()
	defer v.lock.Unlock()
	now := v.Clock()
	within := func(since time.Time, seconds time.Duration) bool {
		return !since.After(now) && now.Sub(since) < seconds*time.Second
	}
	key, known := v.keys[kid]
	if (!known || !within(v.fetched, refresh)) && !within(v.tried, retry) {
		v.tried = now
		if keys, err := load(v.Keys); err == nil { // otherwise what was fetched before is good for a while
			v.keys, v.fetched = keys, now
		}
		key, known = v.keys[kid]
	}
	if now.Sub(v.fetched) > keep*time.Second {
		return nil, refused("the keys can't be fetched")
	}
	if !known {
		return nil, refused("signed with an unknown key")
	}
	return key, nil
}

// load gives the P-256 keys of a key set, by kid.
func load(source string) (map[string]*ecdsa.PublicKey, error) {
	octets, err := read(source)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []struct{ Kty, Crv, Kid, X, Y string }
	}
	if err := json.Unmarshal(octets, &set); err != nil {
		return nil, err
	}
	if set.Keys == nil {
		return nil, errors.New("not a key set")
	}
	keys := map[string]*ecdsa.PublicKey{}
	for _, key := range set.Keys {
		if key.Kty != "EC" || key.Crv != "P-256" || key.Kid == "" {
			continue
		}
		x, errX := base64.RawURLEncoding.DecodeString(key.X)
		y, errY := base64.RawURLEncoding.DecodeString(key.Y)
		if err := errors.Join(errX, errY); err != nil {
			return nil, err
		}
		// a point that isn't on the curve verifies nothing
		point := &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
		keys[key.Kid] = point
	}
	return keys, nil
}

func read(source string) ([]byte, error) {
	if !strings.HasPrefix(source, "http://") && !strings.HasPrefix(source, "https://") {
		return os.ReadFile(source)
	}
	client := http.Client{Timeout: 3 * time.Second}
	answer, err := client.Get(source)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New(answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func object(part string) (map[string]any, error) {
	octets, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, refused("not a token")
	}
	var value map[string]any
	if err := json.Unmarshal(octets, &value); err != nil || value == nil {
		return nil, refused("not a token")
	}
	return value, nil
}

func refused(why string) error {
	return fmt.Errorf("%w: %s", ErrRefused, why)
}
