package codec

import (
	"bytes"
	"encoding/base64"

	"github.com/go-json-experiment/json/jsontext"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/ijson"
)

// decodeFrame returns the frame that data, a valid JSON value, stands for. It is
// the frame with index i, or the member body if i is bare. The frame shares
// memory with data if it can; what it takes beside is held.
func decodeFrame(i int, data, encoding jsontext.Value, h *held) ([]byte, error) {
	as, err := encodingOf(i, data, encoding)
	if err != nil {
		return nil, err
	}
	if as != gateway.JSON && data.Kind() != jsontext.KindString {
		return nil, badAt(atData(i), "it is %s, and the encoding %s wants a string", ijson.Describe(data.Kind()), as)
	}
	if err := h.take(frameCost + copied(as, data)); err != nil {
		return nil, err
	}
	switch as {
	case gateway.Text:
		return ijson.Unquote(data), nil
	case gateway.Base64:
		return decodeBase64(i, ijson.Unquote(data))
	}
	var dense compactor
	return dense.append(make([]byte, 0, len(data)), data), nil
}

// encodingOf returns the encoding that a caller named, or the one that goes
// without saying.
func encodingOf(i int, data, encoding jsontext.Value) (gateway.Encoding, error) {
	switch {
	case encoding == nil && data.Kind() == jsontext.KindString:
		return gateway.Text, nil
	case encoding == nil:
		return gateway.JSON, nil
	case encoding.Kind() == jsontext.KindString:
		name := ijson.Unquote(encoding)
		for _, as := range [...]gateway.Encoding{gateway.Text, gateway.JSON, gateway.Base64} {
			if string(name) == string(as) {
				return as, nil
			}
		}
		return "", badAt(atEncoding(i), "encoding is %.64q, want text, json or base64", name)
	}
	return "", badAt(atEncoding(i), "encoding is %s, want text, json or base64", ijson.Describe(encoding.Kind()))
}

func decodeBase64(i int, text []byte) ([]byte, error) {
	// The decoder would skip line breaks.
	at := max(bytes.IndexByte(text, '\n'), bytes.IndexByte(text, '\r'))
	if at < 0 {
		frame, err := encoding64.AppendDecode(make([]byte, 0, base64.StdEncoding.DecodedLen(len(text))), text)
		if err == nil {
			return frame, nil
		}
		at = len(text)
		if corrupt, ok := err.(base64.CorruptInputError); ok {
			at = int(corrupt)
		}
	}
	return nil, badAt(atData(i), "it is no base64 from byte %d on: want the standard alphabet, with padding", at)
}

func atData(i int) jsontext.Pointer {
	if i == bare {
		return "/body"
	}
	return element(i) + "/data"
}

func atEncoding(i int) jsontext.Pointer {
	if i == bare {
		return "/encoding"
	}
	return element(i) + "/encoding"
}
