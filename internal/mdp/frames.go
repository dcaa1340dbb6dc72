package mdp

// FrameOverhead is what a frame, or a part of a reply, counts beside its bytes wherever
// bytes are bounded, so that many empty ones are bounded too.
const FrameOverhead = 64

// LentFrom is the size of the smallest frame, in bytes, of which a socket may lend its own memory to who receives it.
const LentFrom = 64 << 10

// Size returns how many bytes frames have in all.
func Size(frames [][]byte) (n int64) {
	for _, frame := range frames {
		n += int64(len(frame))
	}
	return n
}
