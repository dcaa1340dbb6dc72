package codec

import (
	"unicode/utf8"

	"mdpgateway/internal/gateway"
)

// encodingFor returns the encoding that a frame is given in if as is asked for.
func encodingFor(frame []byte, as gateway.Encoding) gateway.Encoding {
	switch {
	case as == gateway.Base64, as == gateway.Text && utf8.Valid(frame):
		return as
	case as == gateway.JSON && isValue(frame):
		return as
	case isText(frame):
		return gateway.Text
	}
	return gateway.Base64
}
