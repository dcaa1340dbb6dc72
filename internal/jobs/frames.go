package jobs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
)

// ChunkSize is how many bytes of a message a store keeps in one piece at most.
const ChunkSize = 512 << 10

// framesVersion begins every stored message.
const framesVersion = 1

// castagnoli is the table of CRC-32C (RFC 3720 §12.1). It never changes.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrNewer is the error of what a later version has stored. It is left alone.
var ErrNewer = errors.New("it was stored by a later version")

// Chunks yields a message as stores keep it, in pieces of at most size bytes. A piece is valid until the next.
//
//	1 byte    version, 1
//	uvarint   number of frames
//	uvarint   length of a frame, for each
//	…         the frames' bytes
//	4 bytes   CRC-32C of all before, big-endian
func Chunks(frames [][]byte, size int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		head := binary.AppendUvarint([]byte{framesVersion}, uint64(len(frames)))
		for _, frame := range frames {
			head = binary.AppendUvarint(head, uint64(len(frame)))
		}
		sum := crc32.Checksum(head, castagnoli)
		for _, frame := range frames {
			sum = crc32.Update(sum, castagnoli, frame)
		}
		chunk := make([]byte, 0, min(size, EncodedSize(frames)))
		for _, part := range append(append([][]byte{head}, frames...), binary.BigEndian.AppendUint32(nil, sum)) {
			for len(part) > 0 {
				n := min(len(part), size-len(chunk))
				chunk, part = append(chunk, part[:n]...), part[n:]
				if len(chunk) == size {
					if !yield(chunk) {
						return
					}
					chunk = chunk[:0]
				}
			}
		}
		if len(chunk) > 0 {
			yield(chunk)
		}
	}
}

// EncodedSize returns at least how many bytes Chunks yields in all.
func EncodedSize(frames [][]byte) int {
	size := 1 + binary.MaxVarintLen32 + crc32.Size
	for _, frame := range frames {
		size += binary.MaxVarintLen32 + len(frame)
	}
	return size
}

// Frames reads a whole message that Chunks wrote. The frames share memory with it. The error is ErrNewer, or says how
// it is damaged.
func Frames(message []byte) ([][]byte, error) {
	if len(message) > 0 && message[0] > framesVersion {
		return nil, ErrNewer
	}
	if len(message) < 2+crc32.Size || message[0] != framesVersion {
		return nil, fmt.Errorf("a message of %d bytes has no head", len(message))
	}
	body, end := message[:len(message)-crc32.Size], message[len(message)-crc32.Size:]
	if got, want := crc32.Checksum(body, castagnoli), binary.BigEndian.Uint32(end); got != want {
		return nil, fmt.Errorf("a message of %d bytes has the CRC %08x, want %08x", len(message), got, want)
	}
	rest := body[1:]
	next := func() (uint64, bool) {
		n, length := binary.Uvarint(rest)
		if length <= 0 || n > uint64(len(body)) {
			return 0, false
		}
		rest = rest[length:]
		return n, true
	}
	count, ok := next()
	if !ok {
		return nil, errors.New("a message has no count of frames")
	}
	lengths := make([]uint64, count)
	total := uint64(0)
	for i := range lengths {
		if lengths[i], ok = next(); !ok {
			return nil, errors.New("a message has too few lengths")
		}
		total += lengths[i]
	}
	if total != uint64(len(rest)) {
		return nil, fmt.Errorf("a message has %d bytes of frames, want %d", len(rest), total)
	}
	frames := make([][]byte, count)
	for i, n := range lengths {
		frames[i], rest = rest[:n:n], rest[n:]
	}
	return frames, nil
}
