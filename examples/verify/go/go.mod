// Go's own library has all it takes: nothing to require.
module example.com/samlgate-assertion

go 1.21
