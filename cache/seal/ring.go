package seal

import (
	"crypto/cipher"
	"sync"
)

// Key is a key of a tenant.
type Key struct {
	ID     string // of the key in a file; behind a dot, of the tenant's own
	Cipher cipher.AEAD
	texts  cipher.AEAD // for SealText
	mac    []byte
}

// Keys are those of a tenant: the first one writes, all read.
type Keys struct {
	Write *Key
	Read  []*Key
}

// Find returns the key of an ID, nil if there is none.
func Find(k *Keys, id string) *Key {
	for i := 0; i < len(k.Read); i++ {
		if k.Read[i].ID == id {
			return k.Read[i]
		}
	}
	return nil
}

// Ring has the keys of all tenants of a storage.
type Ring struct {
	files [][]byte // the keys in files, the one that writes first
	apart bool     // a tenant without a key of its own has none at all

	mu   sync.Mutex
	own  map[string]string // tenants' own keys
	keys map[string]*Keys
}

// NewRing returns a ring of the keys in files. With apart each tenant needs one of its own
// besides, see SetOwn.
func NewRing(files [][]byte, apart bool) *Ring {
	return &Ring{files: files, apart: apart, own: map[string]string{}, keys: map[string]*Keys{}}
}

// SetOwn gives a tenant its own key. It reports whether the tenant had another one: then
// nothing that was encrypted with that can be read any more.
func SetOwn(r *Ring, tenant string, own []byte) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, known := r.own[tenant]
	if known && before == string(own) {
		return false
	}
	r.own[tenant] = string(own)
	delete(r.keys, tenant)
	return known
}

// KeysOf returns a tenant's keys, nil if it has none.
func KeysOf(r *Ring, tenant string) *Keys {
	r.mu.Lock()
	k := r.keys[tenant]
	r.mu.Unlock()
	if k != nil {
		return k
	}
	return makeKeys(r, tenant)
}

// makeKeys derives a tenant's keys.
func makeKeys(r *Ring, tenant string) *Keys {
	r.mu.Lock()
	defer r.mu.Unlock()
	own, given := r.own[tenant]
	if len(r.files) == 0 || r.apart && !given {
		return nil
	}
	k := &Keys{}
	for i := 0; i < len(r.files); i++ {
		id := ID(r.files[i])
		if r.apart {
			id += "." + ID([]byte(own))
		}
		secret := Derive(r.files[i], []byte(own), "odoocache tenant "+tenant, 3*KeyBytes)
		c, err := NewCipher(secret[:KeyBytes])
		if err != nil {
			return nil
		}
		texts, err := NewCipher(secret[KeyBytes : 2*KeyBytes])
		if err != nil {
			return nil
		}
		k.Read = append(k.Read, &Key{ID: id, Cipher: c, texts: texts, mac: secret[2*KeyBytes:]})
	}
	k.Write = k.Read[0]
	r.keys[tenant] = k
	return k
}
