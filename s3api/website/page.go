package website

import (
	"html"
	"net/http"
	"strconv"
	"strings"
)

// Fault is an error as a page shows it.
type Fault struct {
	Code, Message string
	// Key is what could not be had; empty: the error is of something else.
	Key string
}

// Page is the HTML of an error. page is why the site's own error page could not be
// shown; nil: it has none.
func Page(status int, fault Fault, page *Fault, requestID, hostID string) []byte {
	title := html.EscapeString(strconv.Itoa(status) + " " + http.StatusText(status))
	var b strings.Builder
	b.WriteString("<html>\n<head><title>" + title + "</title></head>\n<body>\n<h1>" + title + "</h1>\n<ul>\n")
	fault.write(&b)
	item(&b, "RequestId", requestID)
	item(&b, "HostId", hostID)
	b.WriteString("</ul>\n")
	if page != nil {
		b.WriteString("<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n<ul>\n")
		page.write(&b)
		b.WriteString("</ul>\n")
	}
	b.WriteString("<hr/>\n</body>\n</html>\n")
	return []byte(b.String())
}

func (f *Fault) write(b *strings.Builder) {
	item(b, "Code", f.Code)
	item(b, "Message", f.Message)
	if f.Key != "" {
		item(b, "Key", f.Key)
	}
}

func item(b *strings.Builder, name, value string) {
	b.WriteString("<li>" + name + ": " + html.EscapeString(strings.ToValidUTF8(value, "\ufffd")) + "</li>\n")
}
