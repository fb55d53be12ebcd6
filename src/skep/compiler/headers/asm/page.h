// Pages and where kernel addresses begin: always there, as in BCC.
#pragma once
