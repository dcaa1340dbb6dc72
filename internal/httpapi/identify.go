package httpapi

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
)

const maxRequestID = 128

// identify gives the request an id: the caller's own, so that it can be followed
// across systems, or a new one.
func identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := rw.(*response)
		if w.id = r.Header.Get("X-Request-Id"); !fitID(w.id) {
			w.id = newID()
		}
		w.values[0] = w.id
		w.Header()["X-Request-Id"] = w.values[0:1:1]
		next.ServeHTTP(w, r)
	})
}

// fitID reports whether a caller's id may be repeated in headers and logs: 1 to
// 128 printable ASCII characters.
func fitID(id string) bool {
	if len(id) == 0 || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return false
		}
	}
	return true
}

// newID returns 128 random bits in hex. They have to be different, not secret, so
// the runtime's generator will do, which needs no system call.
func newID() string {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], rand.Uint64())
	binary.LittleEndian.PutUint64(b[8:], rand.Uint64())
	return hex.EncodeToString(b[:])
}
