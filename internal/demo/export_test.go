package demo

// What tests call without a broker.
var (
	Stream = stream
	FM     = fm
)

// MelodyPitches are the frequencies of the melody's notes in Hz.
func MelodyPitches() (hz []float64) {
	for _, note := range notes {
		hz = append(hz, pitch(note))
	}
	return hz
}
