package httpapi

import (
	"net/http"
	"strings"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/nearest"
)

// What a header or a service has to be like to be compared with the ones that there are: so
// a request can't make much work.
const (
	maxCompared = 64   // bytes of a name
	maxServices = 1000 // names
)

// spelled refuses a call with a header that is spelt nearly as one that says what is run: passed over in
// silence, it would run a flowgraph without vars, or make no job. Other headers are nobody's business: proxies and
// browsers add what they like.
func (a *API) spelled(r *http.Request) error {
	for name := range r.Header {
		ours := a.nearHeader(name)
		if ours != "" && name != ours {
			return &gateway.Error{Kind: gateway.BadRequest, Detail: "there is no header " + name + ", did you mean " + ours + "?"}
		}
	}
	return nil
}

// nearHeader returns the header that a name begins like and is near to, with X- before it or not; "" if there is none.
// Few of a usual request's headers get as far as to be compared.
func (a *API) nearHeader(name string) string {
	bare := strings.TrimPrefix(name, "X-")
	ours := ""
	switch {
	case bare == "" || len(bare) > maxCompared:
	case bare[0] == 'F':
		ours = "Flowgraph-Vars"
	case bare[0] == 'P':
		ours = "Prefer"
	case bare[0] == 'I' && a.cfg.Jobs != nil:
		ours = "Idempotency-Key"
	}
	if ours == "" || bare == ours || nearest.Of(strings.ToLower(bare), []string{strings.ToLower(ours)}) != "" {
		return ours
	}
	return ""
}

// suggest adds to the error of an unknown service which one was probably meant, of those that the caller may call.
func (a *API) suggest(w *response, e *gateway.Error) error {
	if len(w.service) > maxCompared {
		return e
	}
	var names []string
	for _, info := range a.cfg.Caller.Services() {
		if len(names) == maxServices {
			break
		}
		if w.pass.May(info.Name) {
			names = append(names, info.Name)
		}
	}
	near := nearest.Of(w.service, names)
	if near == "" {
		return e
	}
	told := *e
	told.Detail += "; did you mean " + near + "?"
	return &told
}
