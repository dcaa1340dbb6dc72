package codec

import (
	"strconv"
	"strings"
	"time"
)

// maxWait bounds the time that Prefer may ask for, so that it fits a Duration.
// Maxima that mean something are the caller's.
const maxWait = 1 << 31

// ParsePrefer returns how many seconds the values of Prefer ask to wait (RFC 7240
// §4.3). A preference that is malformed, or no time to wait, is ignored like one
// that is not there; of several the first counts (§2).
func ParsePrefer(values []string) (wait time.Duration, ok bool) {
	for _, value := range values {
		for preference := range split(value, ',') {
			for parameter := range split(preference, ';') {
				name, word, _ := strings.Cut(parameter, "=")
				if strings.EqualFold(strings.Trim(name, blanks), "wait") {
					return waitSeconds(unquote(strings.Trim(word, blanks)))
				}
				break // what follows are the parameters of another preference
			}
		}
	}
	return 0, false
}

// PrefersAsync reports whether the values of Prefer ask for an asynchronous answer (RFC 7240 §4.1).
func PrefersAsync(values []string) bool {
	for _, value := range values {
		for preference := range split(value, ',') {
			name, _, _ := strings.Cut(preference, ";")
			if strings.EqualFold(strings.Trim(name, blanks), "respond-async") {
				return true
			}
		}
	}
	return false
}

func waitSeconds(digits string) (time.Duration, bool) {
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	seconds, err := strconv.ParseInt(digits, 10, 64)
	if err != nil && len(digits) > 0 {
		seconds = maxWait // all digits: it is out of range
	}
	return time.Duration(min(seconds, maxWait)) * time.Second, seconds > 0
}
