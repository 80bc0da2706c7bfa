"""A mail backend that writes each message as one `.eml` file, which every mail program opens."""

import re
import uuid
from collections.abc import Sequence
from pathlib import Path

from django.core.mail import EmailMessage
from django.core.mail.backends.filebased import EmailBackend as FileBackend
from django.utils import timezone
from django.utils.text import slugify


class EmailBackend(FileBackend):
    """Write messages into EMAIL_FILE_PATH, named so that they sort by time."""

    def open(self) -> bool:
        """Open nothing: each message is a file of its own."""
        return False

    def close(self) -> None:
        """Close nothing."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write the messages and return how many."""
        for message in email_messages:
            self._write(message)
        return len(email_messages)

    def _write(self, message: EmailMessage) -> None:
        moment = timezone.now().strftime("%Y%m%d-%H%M%S")
        subject = slugify(message.subject)[:80]
        name = f"{moment}-{subject}-{uuid.uuid4().hex[:8]}.eml"
        # Mail has CRLF line ends wherever it is stored or sent.
        content = re.sub(rb"\r?\n", b"\r\n", message.message().as_bytes())
        # Renamed when complete, so that whoever watches the folder never reads half a message.
        unfinished = Path(self.file_path) / f".{name}"
        unfinished.write_bytes(content)
        unfinished.rename(Path(self.file_path) / name)
