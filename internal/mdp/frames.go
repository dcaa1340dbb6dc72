package mdp

// PartOverhead is what a part of a reply that is kept counts beside its frames, so
// that parts without any are bounded too.
const PartOverhead = 64

// Size returns how many bytes frames have in all.
func Size(frames [][]byte) (n int64) {
	for _, frame := range frames {
		n += int64(len(frame))
	}
	return n
}
