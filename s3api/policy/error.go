package policy

// codeIAM is of IAM and STS, whose answers are not S3's.
const codeIAM = "MalformedPolicyDocument"

// Error says what is wrong with a policy, as Amazon says it.
type Error struct {
	// Code is MalformedPolicy for a bucket's policy, else MalformedPolicyDocument.
	Code    string
	Message string
	// Detail is the text at fault; may be empty.
	Detail string
}

// Error tells code, message and detail.
func (e *Error) Error() string {
	if e.Detail == "" {
		return e.Code + ": " + e.Message
	}
	return e.Code + ": " + e.Message + ": " + e.Detail
}

// S3Code is the code and the message for the client.
func (e *Error) S3Code() (code, message string) { return e.Code, e.Message }

// refuse makes the error of a kind of policy. Amazon's services word the same fault
// differently: bucket is S3's message, iam that of IAM and STS.
func (k Kind) refuse(bucket, iam, detail string) *Error {
	if k == Bucket {
		return &Error{Code: "MalformedPolicy", Message: bucket, Detail: detail}
	}
	return &Error{Code: codeIAM, Message: iam, Detail: detail}
}

func (k Kind) syntax(detail string) *Error {
	return k.refuse("Invalid policy syntax.", "Syntax errors in policy.", detail)
}
