package httpapi

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"sync"

	"mdpgateway/internal/gateway"
)

// maxDocuments bounds the documents that are kept: those that were asked for last. There is one for each set of
// services that a key may call.
const maxDocuments = 16

// documents are the answers to GET /openapi.json. To build one takes 0.7 ms a service, so
// each is built once, and one at a time.
type documents struct {
	mu    sync.Mutex
	built []document // guarded by mu; the last one that was asked for first
}

type document struct {
	key  [sha256.Size]byte // what it shows
	tag  string            // its ETag
	body []byte
}

// get returns the document that shows these services.
func (d *documents) get(shown []gateway.ServiceInfo) (document, error) {
	key := digest(shown)
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.IndexFunc(d.built, func(doc document) bool { return doc.key == key }); i >= 0 {
		doc := d.built[i]
		copy(d.built[1:], d.built[:i])
		d.built[0] = doc
		return doc, nil
	}
	body, err := newDocument(shown)
	if err != nil {
		return document{}, err
	}
	body = append(body, '\n')
	sum := sha256.Sum256(body)
	doc := document{key, `"` + hex.EncodeToString(sum[:8]) + `"`, body}
	d.built = slices.Insert(d.built, 0, doc)
	clear(d.built[min(maxDocuments, len(d.built)):])
	d.built = d.built[:min(maxDocuments, len(d.built))]
	return doc, nil
}

// digest returns a hash of what a document shows of services.
func digest(shown []gateway.ServiceInfo) (sum [sha256.Size]byte) {
	h := sha256.New()
	part := func(text []byte) {
		var length [8]byte
		binary.LittleEndian.PutUint64(length[:], uint64(len(text)))
		h.Write(length[:])
		h.Write(text)
	}
	for i := range shown {
		s := &shown[i]
		part([]byte(s.Name))
		part([]byte(s.Description))
		part([]byte(s.Vars))
		part(s.VarsSchema)
		part(s.Example)
		part([]byte(strconv.Itoa(s.MaxFrames)))
	}
	h.Sum(sum[:0])
	return sum
}
