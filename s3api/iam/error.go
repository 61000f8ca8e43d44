package iam

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"

	"ironman/s3api/policy"
	"ironman/wal/event"
)

// Error is an error as IAM and STS give it.
type Error struct {
	Code    string
	Message string
	Status  int
}

// Error is code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Refuse makes an error with its status.
func Refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Status: status(code)}
}

// status is that of a code; 400 for most.
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
func status(code string) int {
	switch code {
	case "NoSuchEntity":
		return http.StatusNotFound
	case "IDPCommunicationError":
		return http.StatusBadRequest // the client may try again
	case "EntityAlreadyExists", "ConcurrentModification", "DeleteConflict", "LimitExceeded", "EntityTemporarilyUnmodifiable":
		return http.StatusConflict
	case "AccessDenied", "InvalidClientTokenId", "SignatureDoesNotMatch", "MissingAuthenticationToken", "ExpiredToken", "OptInRequired":
		return http.StatusForbidden
	case "InternalFailure":
		return http.StatusInternalServerError
	case "ServiceUnavailable":
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// Overtaken reports whether a call lost against another that changed the same: it can be
// served again, from a new view.
func Overtaken(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == "ConcurrentModification"
}

func invalid(format string, args ...any) *Error { return Refuse("ValidationError", format, args...) }

func noSuch(what, name string) *Error {
	return Refuse("NoSuchEntity", "The %s with name %s cannot be found.", what, name)
}

// refusal says what became of an event that was refused; about is what it was about.
func refusal(r event.Refusal, about string) *Error {
	switch r {
	case event.Refusal_REFUSAL_EXISTS:
		return Refuse("EntityAlreadyExists", "%s already exists.", about)
	case event.Refusal_REFUSAL_NOT_FOUND:
		return Refuse("NoSuchEntity", "%s, or what it refers to, cannot be found.", about)
	case event.Refusal_REFUSAL_IN_USE:
		return Refuse("DeleteConflict", "%s cannot be deleted: something else still belongs to it or refers to it.", about)
	case event.Refusal_REFUSAL_CONFLICT:
		return Refuse("ConcurrentModification", "%s was changed by another request at the same time. Please try again.", about)
	case event.Refusal_REFUSAL_LIMIT_EXCEEDED:
		return Refuse("LimitExceeded", "%s would exceed a limit of its account.", about)
	case event.Refusal_REFUSAL_INVALID:
		return invalid("%s has a value that is not allowed.", about)
	case event.Refusal_REFUSAL_FEATURE_LEVEL:
		return Refuse("ServiceUnavailable", "A node of the cluster runs a release that does not know what is asked for yet.")
	}
	return Refuse("ServiceUnavailable", "The change could not be made. Please try again.")
}

// malformed is the error of a policy that is not one.
func malformed(err error) error {
	var e *policy.Error
	if !errors.As(err, &e) {
		return err
	}
	message := e.Message
	if message == "" {
		message = "Syntax errors in policy."
	}
	return Refuse("MalformedPolicyDocument", "%s", message)
}

// Namespaces of the answers.
const (
	namespaceIAM = "https://iam.amazonaws.com/doc/2010-05-08/"
	namespaceSTS = "https://sts.amazonaws.com/doc/2011-06-15/"
)

// ErrorDocument is the body of an error.
func ErrorDocument(e *Error, service, requestID string) []byte {
	sender := "Sender"
	if e.Status >= 500 {
		sender = "Receiver"
	}
	type body struct {
		Type, Code, Message string
	}
	return document(struct {
		XMLName   xml.Name `xml:"ErrorResponse"`
		Namespace string   `xml:"xmlns,attr"`
		Error     body
		RequestID string `xml:"RequestId"`
	}{Namespace: namespace(service), Error: body{sender, e.Code, e.Message}, RequestID: requestID})
}

func namespace(service string) string {
	if service == ServiceSTS {
		return namespaceSTS
	}
	return namespaceIAM
}

// document writes XML. Text that XML cannot hold is replaced.
func document(v any) []byte {
	b, err := xml.Marshal(v)
	if err != nil {
		panic("iam: an answer cannot be written: " + err.Error()) // a fault of its type
	}
	return append([]byte(xml.Header), b...)
}
