package flowgraph_test

import (
	"fmt"

	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/ijson"
)

func ExampleEncoding_Append() {
	vars := ijson.MustObject(`{"sf": 7, "bw": 125e3, "has_crc": false, "sync_words": [8, 16], "site": "Gar\u00e7on's"}`)
	for _, encoding := range []flowgraph.Encoding{flowgraph.Python, flowgraph.JSON} {
		frame, err := encoding.Append(nil, vars)
		fmt.Println(string(frame), err)
	}
	_, err := flowgraph.Python.Append(nil, ijson.MustObject(`{"sync_words": [8, 1e999]}`))
	fmt.Println(err)
	// Output:
	// {'sf': 7, 'bw': 125e3, 'has_crc': False, 'sync_words': [8, 16], 'site': "Gar\xe7on's"} <nil>
	// {"sf":7,"bw":125e3,"has_crc":false,"sync_words":[8,16],"site":"Gar\u00e7on's"} <nil>
	// #/sync_words/1: 1e999 is out of a float's range
}
