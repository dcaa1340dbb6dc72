package flowgraph_test

import (
	"bytes"
	"fmt"
	"testing"

	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/ijson"
)

// vars returns an object like those that flowgraphs are given, of about size
// bytes.
func vars(size int) []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := 0; b.Len() < size-110; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"sf%d":7,"samp_rate%d":250000,"has_crc%d":false,"gain%d":0.5,"label%d":"hall 1","sync_words%d":[8,16]`, i, i, i, i, i, i)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// appendText is the whole way of vars, from the caller's text to the frame.
func appendText(encoding flowgraph.Encoding, dst, text []byte) ([]byte, error) {
	object, err := ijson.ParseObject(text)
	if err != nil {
		return dst, err
	}
	return encoding.Append(dst, object)
}

func BenchmarkAppend(b *testing.B) {
	for _, encoding := range []flowgraph.Encoding{flowgraph.Python, flowgraph.JSON, flowgraph.None} {
		for _, size := range []int{256, 4 << 10, 64 << 10, 1 << 20} {
			object := vars(size)
			b.Run(fmt.Sprintf("encoding=%s/size=%d", encoding, size), func(b *testing.B) {
				b.SetBytes(int64(len(object)))
				b.ReportAllocs()
				var dst []byte
				for b.Loop() {
					var err error
					if dst, err = appendText(encoding, dst[:0], object); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
