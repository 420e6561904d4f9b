"""Stand-ins for APIs that cost money, speaking their real wire formats."""

from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.server import Answer, Request, ToolUse, running

__all__ = ["Answer", "FakeAnthropic", "FakeOpenAI", "Request", "ToolUse", "running"]
