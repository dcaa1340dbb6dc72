package httpapi

import (
	"strconv"
	"strings"
	"time"

	"mdpgateway/internal/gateway"
)

// advise adds to an error what the caller can do about it.
func (a *API) advise(w *response, err error) error {
	e := gateway.AsError(err)
	switch {
	case e.Kind == gateway.ServiceNotFound:
		return a.suggest(w, e)
	case e.Kind == gateway.Timeout && e.Timeout != nil && e.Timeout.Most > 0:
		told := *e
		told.Detail += a.moreTime(w.service, e.Timeout)
		return &told
	}
	return err
}

// moreTime says how a call that timed out gets more time.
func (a *API) moreTime(service string, t *gateway.TimeoutDetail) string {
	var advice string
	if t.Limit < t.Most {
		advice = "; ?timeout= up to " + brief(t.Most)
	}
	if a.cfg.Jobs != nil && !a.cfg.Jobs.Rules(service).None {
		advice += "; longer: Prefer: respond-async"
	}
	return advice
}

// brief writes a duration without the units that are 0, as 5m in place of 5m0s.
func brief(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// exactSeconds writes a duration as ?timeout takes it, in seconds: 300s or 0.5s.
func exactSeconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
}
