package gateway

import (
	"strings"
	"testing"
)

func TestParseEncoding(t *testing.T) {
	for _, name := range []string{"auto", "text", "json", "base64"} {
		if e, err := ParseEncoding(name); err != nil || string(e) != name {
			t.Errorf("%s: %q, %v", name, e, err)
		}
	}
	for _, name := range []string{"", "raw", "JSON"} {
		if _, err := ParseEncoding(name); err == nil || !strings.Contains(err.Error(), "want one of auto, text, json, base64") {
			t.Errorf("%q: error %v", name, err)
		}
	}
}
