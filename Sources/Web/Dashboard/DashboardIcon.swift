let dashboardIcon = ""
