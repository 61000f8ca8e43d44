package s3err

import (
	"strings"

	"ironman/s3api/s3xml"
)

// Document is the body of an error response. resource is the path that was asked
// for, with or without a bucket; e's own goes before it. It is nil for a status
// that has no body (304). A HEAD has none either, which its caller knows.
func Document(e *Error, requestID, hostID, resource string) []byte {
	if e.Status == 304 {
		return nil
	}
	if e.Resource != "" {
		resource = e.Resource
	}
	dst := append(make([]byte, 0, 512), s3xml.Header...)
	dst = append(dst, "<Error>"...)
	dst = appendField(dst, "Code", e.Code)
	dst = appendField(dst, "Message", e.Message)
	for _, f := range e.Fields {
		dst = appendField(dst, f.Name, f.Value)
	}
	if resource != "" {
		dst = appendField(dst, "Resource", resource)
	}
	dst = appendField(dst, "RequestId", requestID)
	dst = appendField(dst, "HostId", hostID)
	return append(dst, "</Error>"...)
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(append(append(dst, '<'), name...), '>')
	dst = s3xml.AppendText(dst, strings.Map(readable, value))
	return append(append(append(dst, "</"...), name...), '>')
}

// readable replaces what no XML parser takes, not even as a reference. A listing must
// not change a key, whatever its reader makes of it; an error that cannot be read has
// lost its code.
func readable(c rune) rune {
	switch {
	case c < ' ' && c != '\t' && c != '\n' && c != '\r', c == 0xFFFE, c == 0xFFFF:
		return '\uFFFD'
	}
	return c
}
