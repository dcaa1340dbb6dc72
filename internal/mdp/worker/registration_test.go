package worker

import (
	"testing"
	"time"
)

// A broker that refuses each registration is asked less and less often; one that is only away is found within a second.
func TestARefusedWorkerAsksSeldom(t *testing.T) {
	pause, asked := minPause, 0
	for waited := time.Duration(0); waited < time.Minute; waited += pause {
		asked++
		pause = longer(pause, true)
	}
	if asked > 15 || pause != refusedPause {
		t.Errorf("asked %d times in a minute, the last pause was %s; want at most 15 and %s", asked, pause, refusedPause)
	}
	if pause = longer(pause, false); pause != maxPause {
		t.Errorf("the pause after a lost connection is %s, want %s", pause, maxPause)
	}
	if pause = longer(minPause, false); pause != 2*minPause {
		t.Errorf("the pause after the first failure is %s, want %s", pause, 2*minPause)
	}
}
